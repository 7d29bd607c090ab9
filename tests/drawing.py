"""Draw the tasks of a running client, from a run.

    python -m tests.drawing

prints the drawing that stands in CONTRIBUTING.md. A client follows one stream of the simulator, on
the virtual clock; the tree is read from trio itself, so a task that is added, renamed or moved to
another nursery changes the drawing, and `test_contributing` says that the page is out of date.
"""

from collections.abc import Iterator
from typing import Final

import trio
import trio.testing

import derivtrio
from derivtrio.simulator import open_simulator

#: What each task does, and where its function is.
TASKS: Final = {
    "your program": ("enters open_client", "assembly.py"),
    "derivtrio.reconnect": ("one connection after another", "supervision/supervisor.py"),
    "derivtrio.websocket": ("handshake, pings, Close", "connection/connection.py"),
    "trio_websocket": ("trio-websocket's own reader", ""),
    "derivtrio.reader": ("socket -> router -> buffers", "supervision/tasks.py"),
    "derivtrio.writer": ("queue -> socket", "supervision/tasks.py"),
    "derivtrio.heartbeat": ("asks a silent server for a sign of life", "supervision/heartbeat.py"),
    "derivtrio.deadlines": ("ends calls that got no reply in time", "supervision/tasks.py"),
    "derivtrio.staleness": ("notices streams that are mute", "streams/staleness.py"),
}


def name_of(task: trio.lowlevel.Task) -> str:
    if task.name.startswith("trio_websocket"):
        return "trio_websocket"
    return task.name if task.name in TASKS else "your program"


def branches(task: trio.lowlevel.Task, indent: str = "") -> Iterator[str]:
    """Yield the lines of *task* and of the tasks below it."""
    yield _line(f"{indent}{name_of(task)}", *TASKS[name_of(task)])
    for nursery in task.child_nurseries:
        children = sorted(nursery.child_tasks, key=lambda child: [*TASKS].index(name_of(child)))
        if children:
            shielded = " (shielded)" if _is_shielded(nursery) else ""
            yield f"{indent}  nursery{shielded}"
            for child in children:
                yield from branches(child, f"{indent}    ")


def _is_shielded(nursery: trio.Nursery) -> bool:
    return nursery.cancel_scope.shield


def _line(name: str, job: str, file: str) -> str:
    return f"{name:<34}{job:<42}{file}".rstrip()


def drawing() -> str:
    """Return the drawing of a client that is ready and follows one stream."""
    lines: list[str] = []

    async def program(sim: derivtrio.simulator.Simulator) -> None:
        async with (
            derivtrio.open_client(endpoint=sim.endpoint) as client,
            client.ticks("R_100") as ticks,
        ):
            await anext(ticks)
            lines.extend(branches(trio.lowlevel.current_task()))

    async def main() -> None:
        async with open_simulator(port=None) as sim, trio.open_nursery() as nursery:
            nursery.start_soon(program, sim, name="your program")

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return "\n".join(lines)


if __name__ == "__main__":
    print(drawing())  # noqa: T201
