"""How results and messages are shown."""

import pytest

from derivtrio import Tick
from derivtrio.cli import output


def test_what_a_server_says_cannot_move_the_cursor() -> None:
    assert output.one_line("HTTP 520: <html>\n\x1b[2J\x1b]0;evil\x07  body") == (
        "HTTP 520: <html> [2J ]0;evil body"
    )


def test_ticks_prints_times_and_all_decimals_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "to_terminal", lambda: True)
    output.show_tick(Tick("R_50", 1_700_000_000, 190.5, pip_size=4))
    output.show_tick(Tick("R_50", 1_700_000_001, 190.5))
    assert capsys.readouterr().out.splitlines() == [
        "2023-11-14 22:13:20  R_50        190.5000",
        "2023-11-14 22:13:21  R_50        190.5",
    ]
