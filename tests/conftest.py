"""What all tests share."""

import logging
import random

import pytest
from hypothesis import settings
from plain import make_plain_the_default

settings.register_profile("derivtrio", deadline=None, derandomize=True)
settings.load_profile("derivtrio")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--plain",
        action="store_true",
        help="run every client the plain way, as with Settings(fast=False): nothing may depend on"
        " the fast one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the way before the tests are imported, whose constants are settings, too."""
    if config.getoption("--plain"):
        make_plain_the_default()


@pytest.fixture(autouse=True)
def _same_backoff_every_time() -> None:
    """Let no test pass or fail by the luck of its backoff, which draws its waits from there."""
    random.seed(0)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every log call run, so that none of them can be broken unseen."""
    caplog.set_level(logging.DEBUG, logger="derivtrio")
    monkeypatch.setattr(logging.NullHandler, "handleError", _raise)


def _raise(handler: logging.Handler, record: logging.LogRecord) -> None:
    """Raise what `derivtrio.calls.status.TolerantLogger` has caught."""
    del handler, record
    raise  # noqa: PLE0704 - it is called where that is handled
