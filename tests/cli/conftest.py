import socket
from collections.abc import Iterator

import pytest
from served import Served, served


@pytest.fixture(scope="package")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DERIV_URL",
        "DERIV_APP_ID",
        "DERIV_TOKEN",
        "DERIV_ACCOUNT",
        "DERIV_REST_URL",
        "DERIV_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return the URL of a port that is taken, and where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}"
