"""Ten thousand pending calls cost no more each than a thousand do: work is counted, not time."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from scripted import Peer, Request, open_server, polite

import derivtrio
from derivtrio import Settings
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.queue import SendQueue
from derivtrio.calls.routing import Router
from derivtrio.calls.session import Session
from derivtrio.calls.status import EventBus
from derivtrio.supervision import tasks
from derivtrio.supervision.tasks import write_calls


@attrs.define(eq=False)
class Steps(trio.abc.Instrument):
    """Counts how often a task of the callers runs."""

    count: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task.name.endswith(".ask")


@attrs.define(eq=False)
class Held:
    """A server that answers when it has been asked so often."""

    needed: int = 0
    requests: list[Request] = attrs.field(factory=list)

    async def __call__(self, peer: Peer, request: Request) -> None:
        if "ping" in request:
            await polite(peer, request)
            return
        self.requests.append(request)
        if len(self.requests) == self.needed:
            for each in self.requests:
                await peer.reply(each, time=1)
            self.requests.clear()


async def test_callers_take_as_many_steps_however_many_there_are(autojump_clock: Any) -> None:
    held, steps = Held(), {}
    settings = Settings(pacing=False, outbox=50, response_timeout=3600)
    async with (
        open_server(held) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
    ):

        async def ask() -> None:
            await client.call({"time": 1})

        for held.needed in (50, 500):  # as many as the queue has room for, and ten times as many
            counting = Steps()
            trio.lowlevel.add_instrument(counting)
            async with trio.open_nursery() as nursery:
                for _ in range(held.needed):
                    nursery.start_soon(ask)
            trio.lowlevel.remove_instrument(counting)
            steps[held.needed] = counting.count / held.needed
    assert steps[50] == 2  # one to ask, one to take the reply
    assert steps[500] < 2.1


class Wire:
    """A connection as the writer and the deadlines know it."""

    number = 1

    async def send(self, *_: str) -> None:
        await trio.lowlevel.checkpoint()

    async def catch_up(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_the_deadlines_task_looks_at_the_oldest_call_and_those_overdue(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    with_deadline = tasks._with_deadline  # noqa: SLF001 - how often it yields is the test

    def counting(session: Session) -> Iterator[Call]:
        nonlocal looks
        for call in with_deadline(session):
            looks += 1
            yield call

    monkeypatch.setattr(tasks, "_with_deadline", counting)
    router, wire = Router(), Wire()
    session = Session(Settings(response_timeout=60), "v3", SendQueue(1), router, EventBus())
    calls = [api_call({"time": 1}) for _ in range(10_000)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tasks.expire, wire, session)  # type: ignore[arg-type]
        for number in range(100):  # a hundred calls in each of a hundred seconds
            some = calls[100 * number : 100 * number + 100]
            await write_calls(wire, session, *some)  # type: ignore[arg-type]
            await trio.sleep(1)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert {type(call.error) for call in calls} == {derivtrio.ResponseTimeout}
    assert looks < 2 * len(calls)
    assert list(router.waiting()) == []


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("pacing", [True, False])
async def test_g09_what_restores_a_connection_overtakes_all_calls_that_wait(
    autojump_clock: Any, *, connected: bool, pacing: bool
) -> None:
    """More wait than the writer looks at in one go, and `authorize` stands behind all of them."""
    answering = False

    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request:
            await peer.reply(request, authorize={"loginid": "CR1"})
        elif answering:
            await polite(peer, request)

    settings = Settings(
        pacing=pacing, backoff=derivtrio.Backoff(first=0.001, cap=0.001), wait_ready=connected
    )
    async with open_server(handle) as server, trio.open_nursery() as nursery:
        server.refuses = not connected
        async with derivtrio.open_client(
            endpoint=server, token="token", settings=settings
        ) as client:
            for _ in range(1000):
                nursery.start_soon(client.call, {"time": 1})
            await trio.sleep(0.1)
            answering, server.refuses = True, False
            if connected:
                await server.peers[0].drop()
            begin = trio.current_time()
            await trio.sleep(0.1)
            await client.wait_ready()
            assert trio.current_time() - begin < 1
            nursery.cancel_scope.cancel()
