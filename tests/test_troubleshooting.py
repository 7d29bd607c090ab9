"""The lines that the page quotes are lines that the code can say; most are said here."""

import ast
import logging
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import trio
from pages import GUIDE, ROOT, read

import derivtrio
from derivtrio.simulator import open_simulator, parse_fault

PAGE = read(GUIDE / "troubleshooting.md")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.text.splitlines() if line.startswith("| ")]

#: Lines are quoted between backticks in the first column; settings and names have no space.
LINES: Final = [line for row in ROWS for line in re.findall(r"`([^`]* [^`]*)`", row[0])]

#: How OpenSSL, Deriv and SQLite put it.
_FOREIGN: Final = {
    "…: certificate verify failed",
    "InvalidSymbol: …",
    "…: file is not a database",
    "Nursery stack corrupted",
}

#: A line that begins with one of these is an `ApiError`: its code, and Deriv's text.
_CODES: Final = ("AuthorizationRequired", "InvalidToken", "PermissionDenied")

#: Parts of a line that say less than this could be found anywhere.
_SHORTEST: Final = 5


#: What is done to a client that reads ticks, and the line of the page that it then logs.
DONE: Final = {
    "drop": "the connection ended without a Close",
    "close:1000:": "closed by the server: 1000",
    "close:1001:going away": "closed by the server: 1001 …",
    "close:1008:no": "closed by the server: 1008 … (against its policy)",
    "close:3000:": "trying again cannot help: …",
    "freeze": "nothing came for … s, in spite of a ping",
    "backend_dead:3": "no API message came for … s, in spite of a ping, although bytes did",
    "garbage": "not JSON: …",
    "huge:10000000": "the server sent a message larger than … bytes",
    "mute:R_100": "… has been mute for … s, though the server has more",
    "refuse:5": "no connection to … port …: …",
    "silence": "no answer to the WebSocket handshake within … s",
    "reject:503": "HTTP …: …",
    "reject:401": "the URL was right before, so this may be a redeployment or a captive portal",
    "hang_up": "the server closed the connection during the handshake",
    "garbage_handshake": "the server does not speak HTTP; its answer begins …",
    "poison:R_100": "… has broken 3 connections, and is not asked for again",
    "poison:R_100:crash": "connections end just after streams are granted; these are asked for"
    " apart: …",
    "poison:R_100:silent": "no answer for … s to …",
    'malform:ticks:tick.quote:"x"': "…: …; it counts as lost",
}


def said() -> Iterator[str]:
    """Yield the texts in the client's source, with `…` for what is put into them."""
    for path in (ROOT / "derivtrio").rglob("*.py"):
        place = path.relative_to(ROOT / "derivtrio")
        if place.parts[0] in ("simulator", "codegen", "trace") or path.name == "_published.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%(\.\d)?[sdfg]", "…", node.value)


SAID: Final = "\n".join(said())


def parts_of(line: str) -> list[str]:
    """Return what a line says itself, between what is put into it."""
    parts = (part.strip(" .:;'?()") for part in re.split(r"…|: |\d+", line))
    return [part for part in parts if len(part) >= _SHORTEST]


@pytest.mark.parametrize("line", LINES)
def test_each_line_is_one_that_the_code_can_say(line: str) -> None:
    """A line that is said below is not looked for: parts of it may be put together."""
    if line in _FOREIGN | {*DONE.values()} or line in {f"{code}: …" for code in _CODES}:
        return
    assert parts_of(line), "the line says nothing of its own"
    assert [part for part in parts_of(line) if part not in SAID] == []


def test_the_check_finds_a_line_that_is_never_said() -> None:
    (part,) = parts_of("…: the server has gone fishing")
    assert part not in SAID


def pattern(line: str) -> str:
    return re.escape(line).replace("…", ".*")


#: Faults of attempts show when the connection breaks.
_OF_ATTEMPTS: Final = ("refuse", "silence", "reject", "hang_up", "garbage_handshake", "poison")


@pytest.mark.parametrize("fault", DONE)
async def test_the_line_comes_when_it_happens(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    line = DONE[fault]
    assert line in LINES
    scheduled = parse_fault(f"{fault}@0")
    with caplog.at_level(logging.INFO, "derivtrio"), trio.move_on_after(300):
        try:
            async with open_simulator(port=None) as sim:
                await read_ticks(sim, scheduled)
        except (derivtrio.ConnectionFailed, derivtrio.StreamFailed):
            pass  # the line says so
    assert any(
        re.search(pattern(line).replace(r"HTTP\ .*:\ ", "HTTP "), m) for m in caplog.messages
    )


async def read_ticks(sim: Any, fault: Any) -> None:
    async with (
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.ticks("R_100") as ticks,
    ):
        await anext(ticks)
        getattr(sim.faults, fault.name)(*fault.arguments)
        if fault.name in _OF_ATTEMPTS:
            sim.faults.drop()
        async for _ in ticks:
            pass


async def test_the_other_errors_are_as_quoted(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match=pattern("…; did you mean '…'?")):
            await client.call({"tick_history": "R_100", "end": "latest"})
        with pytest.raises(derivtrio.SlowConsumer, match="more than 1 items were waiting"):
            async with client.ticks("1HZ100V", buffer=1) as ticks:
                await trio.sleep(10)
                async for _ in ticks:
                    pass
    with pytest.raises(derivtrio.ClientClosed, match="the client is closed"):
        await client.call({"time": 1})


def test_every_line_of_a_fault_is_on_the_page() -> None:
    assert set(DONE.values()) <= set(LINES)
    assert len(LINES) > 40
