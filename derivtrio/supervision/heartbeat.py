"""Find out that a connection is dead, although its socket is open.

The rules stand in `Heartbeat`. It is a task of every connection; it asks a silent server for a sign
of life, and loses the connection to one that gives none.
"""

import math
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from derivtrio.api import codec
from derivtrio.calls.session import Session
from derivtrio.calls.status import ConnectionState
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import Disconnect
from derivtrio.errors import BrokenConnection, HeartbeatMissed
from derivtrio.events import MessageSent


@trio.lowlevel.enable_ki_protection
async def beat(connection: Connection, session: Session) -> None:
    """Ask a silent server for a sign of life; lose the connection to one that gives none."""
    await Heartbeat(connection, session).run()


@attrs.define(eq=False, repr=False)
class Heartbeat:
    """Finds out that a connection is dead.

    The rules:

    1. Only an API message is a sign of life. A front end can send WebSocket frames for ever while
       the backend behind it is dead.
    2. After `heartbeat_interval` without one, a `ping` asks for any message within
       `heartbeat_timeout`.
    3. After a call that had no reply in time, the reply to this very `ping` is asked for: streams
       may go on while no request is answered. The next time this happens on the same connection,
       `time` is asked for, too: a front end may answer pings by itself. A call that has no reply
       while these have theirs is no fault of the connection.
    4. A call whose caller has gone away before the reply counts as one without a reply, when the
       heartbeat looks next.
    5. Before a verdict the reader takes what has come. If the verdict itself comes late, this
       program did not run for a while, and perhaps the network neither. Then the server is asked
       again, once.
    6. If the server takes no bytes of a write for `heartbeat_interval + heartbeat_timeout`, the
       connection is dead, too, whatever the server says meanwhile.
    """

    _connection: Connection
    _session: Session
    _unanswered: int = attrs.field(default=0, init=False)
    _excused: bool = attrs.field(default=False, init=False)
    _asked: list[int] = attrs.field(factory=list, init=False)

    async def run(self) -> None:
        """Watch the connection until it is lost."""
        connection, session = self._connection, self._session
        interval = session.settings.heartbeat_interval
        session.take_unanswered()  # it was about the connection before
        while connection.disconnect is None:
            with trio.move_on_at(min(connection.heard + interval, self._stalls_at)):
                await session.timed_out.wait()
            if self._stalls_at <= trio.current_time():
                await self._judge_writing()
            elif session.take_unanswered():
                self._unanswered += 1
                await self._ask(
                    ["ping", "time"] if self._unanswered > 1 else ["ping"], need_replies=True
                )
            elif trio.current_time() >= connection.heard + interval:
                await self._ask(["ping"], need_replies=False)

    @property
    def _stalls_at(self) -> float:
        return self._connection.stalls_at if self._connection.writing else math.inf

    async def _judge_writing(self) -> None:
        """Lose the connection if its write still stalls after everybody's turn."""
        settings = self._session.settings
        await self._connection.catch_up()
        if self._stalls_at <= trio.current_time():
            stall = settings.heartbeat_interval + settings.heartbeat_timeout
            self._lose(f"the server took no bytes for {stall:g} s")

    async def _ask(self, questions: Sequence[str], *, need_replies: bool) -> None:
        """Ask, and lose the connection if there is no sign of life in time.

        That is any message; with *need_replies*, the replies to these *questions* (rule 3).
        """
        connection, writing = self._connection, False
        arrival, pongs = connection.arrival(), self._register(questions)
        signs = [pong.came for pong in pongs] if need_replies else [arrival]
        deadline = trio.current_time() + self._session.settings.heartbeat_timeout
        with trio.move_on_at(deadline):
            # Another's write may last beyond the deadline; only our own would be cut off by it.
            if connection.writing:
                await connection.flushed()
            writing = True
            await connection.send(list(self._written(questions)))
            writing = False
            for sign in signs:
                await sign.wait()
        if not writing and not all(sign.is_set() for sign in signs):
            await connection.catch_up()
        if writing:  # the write was cut off, and half a frame cannot be taken back
            self._lose(f"the server did not take a ping within {self._timeout}")
        elif all(sign.is_set() for sign in signs):
            self._excused = False
        elif not self._is_excused(deadline):
            self._lose(self._unanswered_text(pongs[0]) if need_replies else self._silence_text())
        elif need_replies:
            self._session.timed_out.set()

    def _register(self, questions: Sequence[str]) -> list["Pong"]:
        """Have the answers to *questions* routed; expect none to earlier ones any more."""
        router, budgets = self._session.router, self._session.queue.budgets
        for req_id in self._asked:  # of a server that answers everything but pings
            router.remove(req_id)
        for question in questions:
            budgets.count(question, trio.current_time())
        pongs = [Pong(self._session.state) for _ in questions]
        self._asked = [router.register(pong) for pong in pongs]
        return pongs

    def _written(self, questions: Sequence[str]) -> list[str]:
        """Return what is written to ask *questions*; announce it to those who want all traffic."""
        texts = (f'{{"{question}":1}}' for question in questions)
        written = list(map(codec.with_req_id, texts, self._asked))
        if self._session.bus.traffic:
            for text in written:
                self._session.bus.announce(MessageSent(text))
        return written

    def _is_excused(self, deadline: float) -> bool:
        """Return whether the server is asked again, because this is judged much too late."""
        late = trio.current_time() - deadline
        excused, self._excused = self._excused, True
        return not excused and late > self._session.settings.heartbeat_timeout / 2

    def _lose(self, text: str) -> None:
        self._connection.lose(Disconnect("heartbeat", error=HeartbeatMissed(text)))

    @property
    def _timeout(self) -> str:
        return f"{self._session.settings.heartbeat_timeout:.3g} s"

    @property
    def _silence(self) -> str:
        return f"{trio.current_time() - self._connection.heard:.3g} s"

    def _silence_text(self) -> str:
        if not self._connection.bytes_came:
            return f"nothing came for {self._silence}, in spite of a ping"
        return (
            f"no API message came for {self._silence}, in spite of a ping, although bytes did"
            " (WebSocket frames, or a message without an end)"
        )

    def _unanswered_text(self, pong: "Pong") -> str:
        if pong.came.is_set():
            return (
                "calls had no reply in time, although pings have: the server did not even tell its"
                f" time within {self._timeout}"
            )
        return (
            f"a call had no reply in time, and a ping after it none within {self._timeout}; the"
            f" last message of any kind came {self._silence} ago"
        )


class Pong:
    """Receives the answer to a heartbeat, and measures the way there and back."""

    def __init__(self, state: ConnectionState) -> None:
        self.came = trio.Event()
        self._state, self._asked = state, trio.current_time()

    def deliver(self, message: dict[str, Any]) -> None:  # noqa: ARG002
        """Take the time."""
        self._state.round_trip = trio.current_time() - self._asked
        self.came.set()

    def lost(self, why: BrokenConnection) -> None:
        """Nobody waits for it."""
