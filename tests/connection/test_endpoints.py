"""Where to connect: endpoints, and the URLs that they give."""

from typing import Any

import pytest

import derivtrio
from derivtrio.connection.endpoints import V3, OptionsPublic, as_endpoint, ask
from derivtrio.connection.url import Address, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://example.org", Address("example.org", 80, "/", secure=False)),
        ("wss://example.org/a?b=1", Address("example.org", 443, "/a?b=1", secure=True)),
        ("ws://[::1]:8000/", Address("::1", 8000, "/", secure=False)),
    ],
)
def test_urls_are_taken_apart(url: str, address: Address) -> None:
    assert parse_url(url) == address


def test_the_host_header_names_an_unusual_port() -> None:
    assert parse_url("ws://example.org:80/").host_header == "example.org"
    assert parse_url("ws://example.org:443/").host_header == "example.org:443"
    assert parse_url("wss://[::1]:9/").host_header == "[::1]:9"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "http://example.org/?otp=s3cret",
        "ws:///path?otp=s3cret",
        "ws://example.org:port/?otp=s3cret",
        "ws://example.org:99999/",
        "ws://[::1/",
        "ws://exa mple.org/",
        "ws://example.org/\n",
        "ws://exämple.org/",
        "ws://example.org/#s3cret",
        "ws://user:s3cret@example.org/",
        5,
    ],
)
def test_g13_malformed_urls_are_refused_without_showing_secrets(url: Any) -> None:
    with pytest.raises(derivtrio.InvalidURL) as caught:
        parse_url(url)
    assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_g13_what_a_server_repeats_of_the_url_is_hidden() -> None:
    address = parse_url("wss://example.org/ws?otp=s3c%2Fret&app_id=1089")
    said = b"no GET /ws?otp=s3c%2Fret&app_id=1089, s3c/ret and 1089"
    assert address.hidden_in(said) == b"no GET /ws?<not shown>, <not shown> and 1089"
    assert parse_url("ws://example.org/").hidden_in(b"Not Found") == b"Not Found"


async def test_app_id_and_language_go_into_the_query() -> None:
    assert await V3(1089).url() == "wss://ws.derivws.com/websockets/v3?app_id=1089"
    assert await V3("ab1", "ES").url() == "wss://ws.derivws.com/websockets/v3?app_id=ab1&l=ES"
    given = as_endpoint("ws://localhost:9/x?app_id=5&brand=deriv", 1089)
    assert await given.url() == "ws://localhost:9/x?app_id=5&brand=deriv"
    kept = as_endpoint("ws://localhost:9/x?otp=a%2Bb+c%3D&otp=2", 1089)
    assert await kept.url() == "ws://localhost:9/x?otp=a%2Bb+c%3D&otp=2&app_id=1089"
    absent = as_endpoint("ws://localhost:9/x", 1089)
    assert await absent.url() == "ws://localhost:9/x?app_id=1089"


@pytest.mark.parametrize("app_id", ["", "a b", "1&x=2", None, True, 1.5])
def test_what_is_not_an_app_id_is_refused(app_id: Any) -> None:
    with pytest.raises(ValueError, match="app_id"):
        as_endpoint(None, app_id)
    with pytest.raises(ValueError, match="app_id"):
        V3(app_id)


async def test_a_function_that_is_not_async_is_told_so() -> None:
    with pytest.raises(derivtrio.EndpointFailed, match="the token function is not async") as caught:
        await ask(lambda: "s3cr3t", "the token function")  # type: ignore[arg-type,return-value]
    assert "s3cr3t" not in str(caught.value)


def test_what_is_not_an_endpoint_is_refused() -> None:
    with pytest.raises(TypeError, match="endpoint is"):
        as_endpoint(5, 1089)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"OptionsPublic\(…\), not its class"):
        as_endpoint(OptionsPublic, 1089)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="generation is 'v3' or 'options', not 'v4'"):
        as_endpoint(OptionsPublic(generation="v4"), 1089)  # type: ignore[arg-type]
