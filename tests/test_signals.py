"""`derivtrio.run`: scripts that end properly, also when a signal asks for it."""

import asyncio
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
import trio

import derivtrio
from derivtrio.simulator import open_simulator

#: A shell has its background jobs ignore Ctrl-C, and what they start inherits that.
SCRIPT = """
import signal, sys, trio, derivtrio

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_IGN if "nohup" in sys.argv else signal.SIG_DFL)

async def main(url):
    try:
        async with derivtrio.open_client(endpoint=url) as client:
            print("ready", flush=True)
            await trio.sleep_forever()
    finally:
        print("cleaned up", flush=True)
        if "stubborn" in sys.argv:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

derivtrio.run(main, sys.argv[1])
"""


async def start(url: str, *args: str) -> trio.Process:
    process: trio.Process = await trio.lowlevel.open_process(
        [sys.executable, "-c", SCRIPT, url, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return process


async def wait_for(process: trio.Process, words: bytes) -> None:
    assert process.stdout is not None
    said = b""
    while words not in said:
        more = await process.stdout.receive_some()
        assert more, f"it ended after {said!r}"
        said += more


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_cancels_the_script_and_the_goodbye_is_said(number: int) -> None:
    with trio.fail_after(60):
        async with open_simulator() as sim:
            process = await start(sim.url)
            await wait_for(process, b"ready")
            process.send_signal(number)
            await wait_for(process, b"cleaned up")
            assert await process.wait() == 128 + number
            assert process.stderr is not None
            assert await process.stderr.receive_some() == b""
            while not sim.history:  # noqa: ASYNC110 - the simulator has no event for it
                await trio.sleep(0.01)
            ending = sim.history[0].ending
    assert (ending.by, ending.code, ending.clean) == ("client", 1000, True)


async def test_under_nohup_the_end_of_the_terminal_ends_nothing() -> None:
    with trio.fail_after(60):
        async with open_simulator() as sim:
            process = await start(sim.url, "nohup")
            await wait_for(process, b"ready")
            process.send_signal(signal.SIGHUP)  # is discarded at once, since it is ignored
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 128 + signal.SIGTERM


async def test_a_second_ctrl_c_interrupts_even_the_clean_up() -> None:
    with trio.fail_after(60):
        async with open_simulator() as sim:
            process = await start(sim.url, "stubborn")
            await wait_for(process, b"ready")
            process.send_signal(signal.SIGINT)
            await wait_for(process, b"cleaned up")
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                await trio.sleep(0.1)
            assert process.stderr is not None
            assert b"KeyboardInterrupt" in await process.stderr.receive_some()


def test_what_main_returns_and_raises_comes_out_as_it_is() -> None:
    async def main(value: Any) -> Any:
        await trio.lowlevel.checkpoint()
        if isinstance(value, BaseException):
            raise value
        return value

    assert derivtrio.run(main, 5) == 5
    for error in (KeyError("mine"), SystemExit(3)):
        with pytest.raises(type(error)) as caught:
            derivtrio.run(main, error)
        assert caught.value is error


def test_misuse_of_run_is_explained() -> None:
    async def main() -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(TypeError, match=r"derivtrio\.run\(main\), not main\(\)"):
        derivtrio.run(main())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="run takes an async function"):
        derivtrio.run(None)  # type: ignore[arg-type]
    caught: list[BaseException] = []

    def elsewhere() -> None:
        try:
            derivtrio.run(main)
        except BaseException as error:  # noqa: BLE001 - whatever it is
            caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    (error,) = caught
    assert isinstance(error, RuntimeError)
    assert "use trio.run" in str(error)


def test_a_client_under_asyncio_is_refused() -> None:
    async def main() -> None:
        async with derivtrio.open_client():
            pytest.fail("it must not open")

    loop = asyncio.SelectorEventLoop  # trio-asyncio, once imported, has asyncio run on trio
    with (
        asyncio.Runner(loop_factory=loop) as runner,
        pytest.raises(RuntimeError, match=r"not asyncio: derivtrio\.run\(main\)"),
    ):
        runner.run(main())
