"""What all tests share."""

import logging

import pytest
from hypothesis import settings

from derivtrio.connection import connection as link
from derivtrio.connection.fast.frames import FrameFilter

settings.register_profile("derivtrio", deadline=None, derandomize=True)
settings.load_profile("derivtrio")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--plain",
        action="store_true",
        help="receive every frame through wsproto, as with Settings(fast=False)",
    )


@pytest.fixture(autouse=True)
def _the_way_of_reception(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the whole suite without the shortcut, when asked to: nothing may depend on it."""
    if request.config.getoption("--plain"):

        def passing_everything(max_size: int, *, take: bool) -> FrameFilter:
            del take
            return FrameFilter(max_size, take=False)

        monkeypatch.setattr(link, "FrameFilter", passing_everything)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """Let every log call run, so that none of them can be broken unseen."""
    caplog.set_level(logging.DEBUG, logger="derivtrio")
