"""The ways through the source do not grow. See `tests.ways` for what is counted."""

import pytest
from ways import WALKS, walked

#: How many stations each way passes at most, the plain way; and how often it changes files.
MOST = {
    "a tick": (12, 27),  # one of them checks its values, in `api/parsing`
    "a call and its reply": (15, 80),
    # Two of these: the task that looks for mute streams may run beside it (`streams/staleness`).
    "a reconnect with one stream": (34, 440),
    "a purchase whose reply is lost": (25, 125),
}


@pytest.mark.parametrize("title", WALKS)
def test_a_way_passes_no_more_stations_than_it_did(title: str) -> None:
    way = walked(title, fast=False)
    stations, changes = MOST[title]
    assert len(way.stations) <= stations, way
    assert way.changes <= changes, way


def test_the_fast_way_is_only_in_its_corners() -> None:
    """The plain way passes nothing of what is there for speed."""
    for title in WALKS:
        files = walked(title, fast=False).files
        assert not [file for file in files if "fast" in file]
