"""How results and messages are shown."""

import contextlib
import os
import sys
import threading

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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot tell whether a pipe is full")
def test_a_pipe_that_nobody_empties_does_not_stop_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as there, os.fdopen(writer, "w", encoding="utf-8") as full:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        monkeypatch.setattr(sys, "stderr", full)
        noting = threading.Thread(target=output.note, args=("one line",), daemon=True)
        noting.start()
        noting.join(5)
        waits = noting.is_alive()
        os.set_blocking(reader, False)
        assert b"one line" not in there.read()
        assert not waits
        output.note("another line")
        assert there.read() == b"another line\n"
