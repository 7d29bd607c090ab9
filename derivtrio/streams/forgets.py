"""How a stream is unsubscribed: a `forget` for each of its ids.

Nobody waits for the answer. If the server refuses a `forget` in passing, it is sent again after a
pause, a few times.

The router, too, finds streams that nobody wants, because a caller went away before the reply. Two
things bound what a hostile server can do with them by always sending new ids: most of the
`forget`s let user calls go first; and if there are too many, the connection is given up.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Final

import trio

from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import slow_down
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import POLICY_VIOLATION, Disconnect
from derivtrio.errors import ApiError, OutcomeUnknown, ProtocolViolation, RateLimited
from derivtrio.policy.rate_limits import Urgency
from derivtrio.policy.retry import RETRY_PAUSE, is_passing
from derivtrio.policy.throttling import LeakyBucket

#: The longest pause between two attempts to `forget` a stream, in seconds.
_LONGEST_PAUSE: Final = 30.0

#: How often a refused `forget` is retried.
_MOST_REFUSALS: Final = 8

#: How many `forget`s go before user calls, and one more each second. The others go after them.
_MOST_PROMPT: Final = 50

#: How many streams that nobody has asked for a server may send on one connection, besides one for
#: each request that was given up; and how many more each second. (The stream of all open contracts
#: brings one for each contract that is bought after its last consumer has left.)
_MOST_STRANGERS: Final = 1000
_STRANGERS_A_SECOND: Final = 0.5


class Forgets:
    """Unsubscribes what nobody wants, on one connection after another."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = 0
        #: How often the server has refused which, until that is sent again.
        self._refused: dict[str, int] = {}
        self._pause, self._repeated_mono = RETRY_PAUSE, -math.inf
        self._sent = LeakyBucket(1)
        self._strangers = LeakyBucket(_STRANGERS_A_SECOND)

    def send_unwanted(self) -> list[Call]:
        """Unsubscribe all that the router has noted as unwanted; return the calls that do so.

        A connection on which too many are found that nobody has asked for is lost.
        """
        router, connection = self._session.router, self._session.connection
        if not router.unwanted or connection is None:
            return []
        if self._connection != connection.number:
            self._begin(connection.number)
        refusals = dict.fromkeys(router.unwanted, 0)
        router.unwanted.clear()
        strangers, router.strangers = router.strangers, 0
        level = self._strangers.add(strangers, trio.current_time()) if strangers else 0
        if level > _MOST_STRANGERS + router.given_up:
            connection.lose(_flooded(level))
            return []
        return self._send(refusals, connection)

    def _send(self, refusals: Mapping[str, int], connection: Connection) -> list[Call]:
        """Send a `forget` for each id; *refusals* counts how often the server has refused it."""
        calls = []
        level = self._sent.add(len(refusals), trio.current_time())
        urgency = Urgency.USER if level <= _MOST_PROMPT else Urgency.RESTORATION
        for stream_id, times in refusals.items():
            call = api_call({"forget": stream_id}, only_on=connection.number, urgency=urgency)
            call.on_error = partial(self._note_refusal, call, times)
            calls.append(call)
        self._session.queue.put_first(calls)
        return calls

    def _note_refusal(self, call: Call, times: int, error: Exception) -> None:
        """Note that a `forget` has failed, if it is worth sending again."""
        if isinstance(error, RateLimited):
            slow_down(call, error, self._session)
        refusal = error.__cause__ if isinstance(error, OutcomeUnknown) else error
        if isinstance(refusal, ApiError) and is_passing(refusal) and times < _MOST_REFUSALS:
            if not self._refused:
                self._start_repeating()
            self._refused[call.request["forget"]] = times + 1

    def _begin(self, connection: int) -> None:
        """Begin with a new *connection*, which has refused nothing."""
        self._connection = connection
        self._refused.clear()
        self._sent.empty()
        self._strangers.empty()
        self._pause, self._repeated_mono = RETRY_PAUSE, -math.inf

    def _start_repeating(self) -> None:
        connection, name = self._session.connection, f"derivtrio.forgets{self._session.label}"
        if connection is not None:
            connection.start_soon(self._repeat_refused, connection, name=name)

    async def _repeat_refused(self, connection: Connection) -> None:
        """Send again, after a pause, each `forget` that the server has refused by then.

        Otherwise the server would send that stream as long as the connection lives, and refuse the
        same stream to a later consumer. The pause doubles from one time to the next.
        """
        now = trio.current_time()
        recent = now < self._repeated_mono + 2 * _LONGEST_PAUSE
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if recent else RETRY_PAUSE
        self._repeated_mono = now
        await trio.sleep(self._pause)
        refusals, self._refused = self._refused, {}
        self._send(refusals, connection)


def _flooded(strangers: float) -> Disconnect:
    text = (
        f"the server sent {strangers:.0f} streams that nobody has asked for, each with an id of its"
        " own, faster than they can be forgotten"
    )
    violation = ProtocolViolation(text)
    violation.blameless = True
    return Disconnect("us", POLICY_VIOLATION, error=violation)
