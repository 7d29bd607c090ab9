"""Run a script to its proper end, also when a signal ends it."""

import inspect
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import attrs
import trio

from derivtrio.concurrency.background import running

T = TypeVar("T")


def run(main: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run `main(*args)` under trio; on Ctrl-C or SIGTERM cancel it and let it clean up.

    The first signal cancels *main*: its `finally` blocks run, clients close their connections.
    A second Ctrl-C interrupts even that. SIGHUP, with which a terminal ends, does what SIGTERM
    does, except under `nohup`. Call it from the main thread.

    Raises:
        SystemExit: a signal ended *main*; the status is 128 plus the signal's number, as in a
            shell.
        TypeError: *main* is not an async function.
        RuntimeError: this is not the main thread; Python delivers signals only there.
        BaseException: what *main* raises.

    """
    if not callable(main):
        if inspect.iscoroutine(main):
            main.close()  # or Python would warn that nobody awaits it
        text = "run takes an async function, and its arguments: derivtrio.run(main), not main()"
        raise TypeError(text)
    if threading.current_thread() is not threading.main_thread():
        text = "derivtrio.run handles signals, and that is for the main thread; here use trio.run"
        raise RuntimeError(text)
    return trio.run(_main, main, args)


async def _main(main: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
    watch = _Watch()
    with watch.main:
        async with running(watch.signals, stop=watch.stop, name="derivtrio.signals"):
            await watch.begun.wait()
            return await main(*args)
    raise SystemExit(128 + watch.signal)


@attrs.define(eq=False, repr=False)
class _Watch:
    """Waits for one signal, and cancels `main` when it comes.

    After that Python's own handlers are in force again. So a second Ctrl-C raises
    KeyboardInterrupt.
    """

    main: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    begun: trio.Event = attrs.field(factory=trio.Event, init=False)
    signal: int = attrs.field(default=0, init=False)
    _waiting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    async def signals(self) -> None:
        with (
            self._waiting,
            trio.open_signal_receiver(*_signals()) as numbers,
        ):
            self.begun.set()
            self.signal = await anext(numbers)
            self.main.cancel()

    def stop(self) -> None:
        self._waiting.cancel()


def _signals() -> Iterator[int]:
    """Yield the signals that are to end a script."""
    yield from (signal.SIGINT, signal.SIGTERM)
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # see nohup(1)
        yield hangup
