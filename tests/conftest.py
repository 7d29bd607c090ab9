"""What all tests share."""

import logging

import pytest
from hypothesis import settings

settings.register_profile("derivtrio", deadline=None, derandomize=True)
settings.load_profile("derivtrio")


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """Let every log call run, so that none of them can be broken unseen."""
    caplog.set_level(logging.DEBUG, logger="derivtrio")
