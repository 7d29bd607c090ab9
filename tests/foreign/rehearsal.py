"""Runs a simulator and the other client, and judges what the client saw."""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import attrs
import trio
import trio.testing

from derivtrio.simulator import open_simulator
from tests.foreign.judge import Judge

PACKAGES: Final = ("python-deriv-api==0.1.6",)

#: The benchmarks keep their other clients here, too.
ENVS: Final = Path(tempfile.gettempdir(), "derivtrio-benchmarks")

_DRIVER: Final = Path(__file__).with_name("driver.py")

#: Market seconds in a real second: five ticks should not take ten seconds.
_RATE: Final = 20

#: The driver lives by the real clock, which is slow for this server: it must not look idle.
_IDLE: Final = 10_000

_PATIENCE: Final = 120


class DriverFailed(Exception):
    """The client did not finish; the message is its own output."""


@attrs.frozen
class Verdict:
    """The result: the *complaints* of *judge*."""

    judge: Judge
    complaints: list[str]

    def summary(self) -> str:
        """Return the result, on one screen."""
        seen = self.judge.seen
        counts = f"{len(seen['replies'])} steps, {len(seen['messages'])} messages"
        streamed = {name: len(messages) for name, messages in seen["streams"].items()}
        return "\n".join(
            [
                f"python-deriv-api {seen['library']}, unchanged: {counts}",
                "  " + ", ".join(f"{count} of {name}" for name, count in streamed.items()),
                *self.complaints,
                "FAILED" if self.complaints else "PASSED",
            ]
        )


def rehearse(python: str, seed: int = 1) -> Verdict:
    """Run the driver with *python*, and judge what it saw.

    Raises:
        DriverFailed: it did not finish.

    """
    clock = trio.testing.MockClock(rate=_RATE)
    verdict: Verdict = trio.run(_rehearse, python, seed, clock=clock)
    return verdict


async def _rehearse(python: str, seed: int) -> Verdict:
    async with open_simulator(seed, idle_timeout=_IDLE) as sim:
        seen = await _seen_by(python, sim.url.partition("/websockets")[0])
        (ledger,) = (sim.ledger(loginid) for loginid in sim.accounts)
        judge = Judge(seen, sim.market, ledger)
        return Verdict(judge, judge.complaints())


async def _seen_by(python: str, url: str) -> Any:
    with trio.move_on_after(_PATIENCE * _RATE) as patience:
        driver = await trio.run_process(
            [python, "-I", str(_DRIVER), url],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    if patience.cancelled_caught:
        message = f"not done after {_PATIENCE} s"
        raise DriverFailed(message)
    if driver.returncode:
        raise DriverFailed(driver.stderr.decode(errors="replace"))
    return json.loads(driver.stdout)
