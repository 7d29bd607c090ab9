"""Settings: validated, frozen, with the pinned defaults."""

import ssl
from typing import Any

import pytest

from derivtrio import Backoff, Settings, open_client


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connect_timeout", 0),
        ("connect_timeout", -1),
        ("restore_timeout", float("nan")),
        ("close_timeout", float("inf")),
        ("heartbeat_interval", "25"),
        ("heartbeat_timeout", None),
        ("response_timeout", True),
        ("response_timeout", 1e-9),
        ("heartbeat_interval", 1e-4),
        ("connect_timeout", 1e10),
        ("stable_after", -1),
        ("stable_after", 1e12),
        ("max_attempts", 0),
        ("max_attempts", 1.5),
        ("outbox", 0),
        ("max_message_size", 0.5),
        ("backoff", 3),
        ("ssl_context", "default"),
        ("wait_ready", 1),
        ("fast", None),
        ("check_requests", 1),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{field} is .*, not {value!r}$"):
        Settings(**{field: value})


@pytest.mark.parametrize("field", ["first", "factor", "cap"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1"])
def test_a_backoff_that_cannot_be_meant_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        Backoff(**{field: value})


def test_a_number_that_has_no_text_is_refused_all_the_same() -> None:
    with pytest.raises(ValueError, match=r"^close_timeout is .*, not a number of more than 20"):
        Settings(close_timeout=10**5000)


def test_a_backoff_that_begins_above_its_cap_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^first \(120 s\) is more than cap \(60 s\): give both$"):
        Backoff(first=120)
    with pytest.raises(
        ValueError, match=r"^first \(0\.5 s\) is more than cap \(0\.3 s\): give both$"
    ):
        Backoff(cap=0.3)


def test_a_servers_ssl_context_is_refused() -> None:
    """As every attempt would fail, and be tried again."""
    with pytest.raises(ValueError, match="ssl_context is one for clients"):
        Settings(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_the_pinned_defaults() -> None:
    settings = Settings()
    assert (settings.connect_timeout, settings.restore_timeout, settings.close_timeout) == (
        10,
        20,
        2,
    )
    assert (settings.heartbeat_interval, settings.heartbeat_timeout) == (25, 10)
    assert (settings.response_timeout, settings.stable_after) == (60, 60)
    assert settings.backoff == Backoff(first=0.5, factor=2, cap=60)
    assert (settings.max_attempts, settings.outbox) == (None, 1024)
    assert (settings.max_message_size, settings.ssl_context) == (8 * 2**20, None)
    assert settings.wait_ready


def test_settings_are_frozen_and_can_be_varied() -> None:
    settings = Settings()
    with pytest.raises(AttributeError):
        settings.outbox = 5  # type: ignore[misc]
    assert settings.but(outbox=5).outbox == 5
    with pytest.raises(ValueError, match="outbox"):
        settings.but(outbox=0)


@pytest.mark.parametrize("odd", [None, {"fast": True}, Settings])
async def test_what_is_no_settings_is_refused_at_once(odd: Any) -> None:
    with pytest.raises(TypeError, match=r"settings is a derivtrio\.Settings, not "):
        async with open_client(settings=odd):
            pytest.fail("it was opened")
