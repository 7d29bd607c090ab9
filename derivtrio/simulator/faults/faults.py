"""The faults of a simulator, as methods that a test calls.

There are six kinds:

1. Faults of connection attempts: `refuse`, and those from `silence` to `accept_then_close`, which
   happen to the next attempts, in the order of the calls. Over TCP a REST call is a connection, and
   counts as an attempt; `rest` is for REST calls only.
2. Faults of live connections, from `drop` to `cut`, and `id_storm`: they happen at once, to all
   connections or to the given one.
3. Lasting faults of connections, `delay` and `fragmented`: without a connection they apply to all,
   later ones too, until `clear`.
4. Silence on live connections: `mute`, and `backend_dead`. They can go on for the next
   subscriptions or connections.
5. Faults of requests, from `lose_before` to `late_subscription`: they happen to the next requests
   of the named *call*, on any connection, in the order of the calls. Without a *call* they happen
   to the next requests that change something.
6. Faults of messages: `malform`, which happens to the next message that fits.

Every method returns at once; the simulator's tasks do the rest. Arguments that make no sense are a
`ValueError`.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
import trio

from derivtrio.api.codec import encode
from derivtrio.errors import RestRejected
from derivtrio.simulator.faults import checks
from derivtrio.simulator.faults.checks import CONNECTION, FOR_EVER, STREAMS, MuteTimes, Times
from derivtrio.simulator.faults.fault_target import FaultTarget, LastingFaults
from derivtrio.simulator.faults.handshake_faults import HandshakeFault, rejection
from derivtrio.simulator.faults.malformations import Malformations, malformation
from derivtrio.simulator.faults.request_faults import (
    CHANGING,
    LateReply,
    LostReply,
    Outcome,
    RequestFault,
    RequestFaults,
    RequestPattern,
    backend_error,
    late_subscription,
    poisoned,
)
from derivtrio.simulator.faults.stream_mutes import StreamMutes

#: A record header that no TLS version has, and the banner of another protocol.
_NOT_TLS = b"\x00\xffThis is not a ServerHello\r\n"
_NOT_HTTP = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"


@attrs.define(eq=False)
class Faults:
    """The faults of one simulator; see the module for the six kinds."""

    _live: Mapping[int, FaultTarget] = attrs.field(repr=False)
    _request_faults: RequestFaults = attrs.field(repr=False)
    _stream_mutes: StreamMutes = attrs.field(repr=False)
    _malformations: Malformations = attrs.field(repr=False)
    lasting_faults: LastingFaults = attrs.field(factory=LastingFaults, init=False)
    handshake_faults: deque[HandshakeFault] = attrs.field(factory=deque, init=False)
    rest_refusals: deque[RestRejected] = attrs.field(factory=deque, init=False)
    refused_until: float = attrs.field(default=-math.inf, init=False)
    delay_by: float = attrs.field(default=0.0, init=False)
    fragment_size: int | None = attrs.field(default=None, init=False)
    #: Closes the listening socket; called when refusing begins.
    on_refuse: Callable[[], None] = attrs.field(default=lambda: None, init=False, repr=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)

    @property
    def refusing(self) -> bool:
        """Whether new connections are refused at present."""
        return trio.current_time() < self.refused_until

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse new connections (ECONNREFUSED) for *seconds*, or until `clear`."""
        duration = math.inf if seconds is None else checks.seconds(seconds)
        self.refused_until = trio.current_time() + duration
        self.on_refuse()
        self._announce_change()

    def silence(self, times: int = 1) -> None:
        """Accept the next connections and send nothing, not even in TLS."""
        self._queue(HandshakeFault(below_tls=True, hold=True), times)

    def reject(
        self,
        status: int,
        body: bytes | int = b"",
        times: int = 1,
        headers: Mapping[str, str] | str = "",
    ) -> None:
        """Answer the next handshakes with an HTTP response of this *status* and *body*.

        A number as *body* is an error page of that many bytes. *headers* such as `Retry-After` and
        `Location` are a mapping, or one line.
        """
        self._queue(rejection(status, body, headers), times)

    def rest(
        self,
        status: int,
        code: str = "InternalServerError",
        message: str = "Scripted.",
        *,
        retry_after: float | None = None,
        times: int = 1,
    ) -> None:
        """Refuse the next REST calls: with this *status*, error, and `Retry-After` in seconds."""
        refusal = RestRejected(checks.status(status), code, message, retry_after)
        self.rest_refusals.extend([refusal] * checks.count(times))

    def break_tls(self, times: int = 1) -> None:
        """Answer the next connections' first bytes with something other than TLS, then close."""
        self._queue(HandshakeFault(_NOT_TLS, below_tls=True), times)

    def garbage_handshake(self, times: int = 1) -> None:
        """Answer the next handshakes with something other than HTTP, then close."""
        self._queue(HandshakeFault(_NOT_HTTP), times)

    def hang_up(self, times: int = 1) -> None:
        """Close the next connections without a response to their handshake request."""
        self._queue(HandshakeFault(), times)

    def accept_then_close(self, code: int = 1000, times: int = 1) -> None:
        """Accept the next handshakes, and send a Close frame with *code* at once."""
        self._queue(HandshakeFault(close_code=checks.close_code(code)), times)

    def drop(self, *, reset: bool = False, connection: FaultTarget | None = None) -> None:
        """End the byte stream without a Close frame; with *reset*, by a TCP RST segment."""
        for each in self._targets(connection):
            each.drop(reset=reset)

    def close(
        self, code: int = 1001, reason: str = "", *, connection: FaultTarget | None = None
    ) -> None:
        """Begin the close handshake with this *code* and *reason*."""
        checks.close_code(code)
        checks.close_reason(reason)
        for each in self._targets(connection):
            each.close(code, reason)

    def close_without_fin(
        self, code: int = 1001, reason: str = "", *, connection: FaultTarget | None = None
    ) -> None:
        """Send a Close frame, then keep the byte stream open and silent."""
        checks.close_code(code)
        checks.close_reason(reason)
        for each in self._targets(connection):
            each.close(code, reason, fin=False)

    def freeze(self, *, connection: FaultTarget | None = None) -> None:
        """Make the connection half-open: nothing is read, written or closed any more.

        This lasts until the simulator ends; `clear` does not undo it.
        """
        for each in self._targets(connection):
            each.freeze()

    def delay(self, seconds: float, *, connection: FaultTarget | None = None) -> None:
        """Send every message *seconds* later, until `clear`.

        Pongs and answers to a Close frame come at once.
        """
        checks.seconds(seconds)
        if connection is None:
            self.delay_by = seconds
        for each in self._targets(connection):
            each.delay = seconds

    def fragmented(self, size: int, *, connection: FaultTarget | None = None) -> None:
        """Send every message in frames of *size* characters, until `clear`."""
        checks.count(size)
        if connection is None:
            self.fragment_size = size
        for each in self._targets(connection):
            each.fragment(size)

    def garbage(
        self, data: str | bytes = "<html>504</html>", *, connection: FaultTarget | None = None
    ) -> None:
        """Send *data*: text as a text frame, bytes as they are, without a frame."""
        for each in self._targets(connection):
            each.inject(data)

    def huge(self, size: int, *, connection: FaultTarget | None = None) -> None:
        """Send one message of *size* bytes, but at least as long as an empty envelope."""
        empty = encode({"msg_type": "huge", "huge": ""})
        filling = "x" * (checks.count(size) - len(empty))
        self.garbage(encode({"msg_type": "huge", "huge": filling}), connection=connection)

    def unknown(self, *, connection: FaultTarget | None = None) -> None:
        """Send a well-formed message of an unknown type, which answers no request."""
        message = {"msg_type": "unheard_of", "unheard_of": {"id": "unheard-of"}, "echo_req": {}}
        self.garbage(encode(message), connection=connection)

    def cut(self, size: int, *, connection: FaultTarget | None = None) -> None:
        """Send only *size* bytes of the next frame, then end the byte stream."""
        checks.size(size)
        for each in self._targets(connection):
            each.cut(size)

    def mute(
        self,
        stream: str = STREAMS,
        times: MuteTimes = 1,
        *,
        connection: FaultTarget | None = None,
    ) -> None:
        """Let a stream that is open say nothing any more, as if the server had forgotten it.

        *stream* is a symbol, a kind (`ticks`, `candles`, `balance`, …), the id of a subscription or
        of a contract, or `streams` for all. When it is asked for again, it speaks, unless *times*
        is more than 1: the number of subscriptions in a row that are mute, the open one included.
        With `connection` all later ones on the present connections are mute, with `for_ever` all
        later ones until `clear`. Every reply comes; a second subscription beside a mute one is
        `AlreadySubscribed`, until `forget`.

        With `calls` as *stream*, the streams go on but no request is answered any more, nor
        executed; with `calls_except_ping` only `ping` is. *times* then counts connections.
        """
        checks.stream_name(stream)
        checks.mute_times(times)
        if stream in checks.CALLS_ONLY:
            muted = partial(_ignore_requests, except_ping=stream != "calls")
            self._last(muted, 1 if times == CONNECTION else times, connection)
            return
        for each in self._targets(connection):
            keys = each.mute_streams(stream, lasting=times == CONNECTION)
            if isinstance(times, int):
                self._stream_mutes.add(keys, times - 1)
            elif times == FOR_EVER:
                self._stream_mutes.lasting.add(stream, keys)
        if times == FOR_EVER:
            self._stream_mutes.lasting.add(stream, ())

    def backend_dead(
        self,
        ping_every: float = 3.0,
        times: Times = 1,
        *,
        connection: FaultTarget | None = None,
    ) -> None:
        """Leave only the front end: no API message comes any more, and no request is executed.

        WebSocket pings are answered, and one is sent at once and then every *ping_every* seconds.
        A new connection is healthy, unless *times* is more than 1: of the next ones so many less
        one, or with `for_ever` all until `clear`, are dead from their handshake on.
        """
        dead = partial(_kill_backend, ping_every=checks.positive_seconds(ping_every))
        self._last(dead, checks.times(times), connection)

    def id_storm(
        self,
        count: int = 10_000,
        per_second: int = 1000,
        *,
        connection: FaultTarget | None = None,
    ) -> None:
        """Send *count* ticks to an old request, each with a new subscription id.

        It is the oldest request for ticks that the connection has had, of the last thousand
        requests, whether its stream is still open or not. Without such a request nothing happens.
        """
        checks.count(count)
        checks.count(per_second)
        for each in self._targets(connection):
            each.storm(count, per_second)

    def lose_before(self, call: str | None = None, times: int = 1) -> None:
        """Drop the connection when the request arrives; do not execute it."""
        self._fault_calls(call, LostReply(), times, executed=False)

    def lose_after(self, call: str | None = None, times: int = 1) -> None:
        """Execute the request, then drop the connection instead of replying."""
        self._fault_calls(call, LostReply(), times)

    def fail_before(
        self, code: str = "WrongResponse", call: str | None = None, times: int = 1
    ) -> None:
        """Reply with an error of this *code*; do not execute the request."""
        self._fault_calls(call, backend_error(code), times, executed=False)

    def fail_after(
        self, code: str = "WrongResponse", call: str | None = None, times: int = 1
    ) -> None:
        """Execute the request, but reply with an error of this *code*."""
        self._fault_calls(call, backend_error(code), times)

    def answer_late(self, seconds: float, call: str | None = None, times: int = 1) -> None:
        """Execute the request at once; reply at the first whole epoch second *seconds* later."""
        self._fault_calls(call, LateReply(checks.seconds(seconds)), times)

    def poison(
        self,
        what: str | Mapping[str, Any],
        how: str = "close",
        times: Times = FOR_EVER,
        number: int | None = None,
    ) -> None:
        """Have each request of one kind break something, until `clear`.

        *what* is a symbol, for every request that names it; a call; or the members that a request
        must have, such as `{"proposal_open_contract": 1, "contract_id": 5}`. *how* is `close` (with
        the code *number*, 1011), `drop` (without a Close frame), `silent` (no reply), or `huge` (a
        reply of more than *number* bytes, 16 MiB); then the request is not executed. Or it is
        `crash`: the request is executed and answered, and *number* seconds later (1) the
        connection ends without a Close frame. Streams that are already open go on.
        """
        self._request_faults.add(poisoned(what, how, number), checks.times(times))

    def late_subscription(
        self, seconds: float, what: str | None = None, times: int = 1, between: str = "lost"
    ) -> None:
        """Execute the next subscription at once, and reply *seconds* later, with old data.

        *what* is a symbol or a call; `None` means any subscription. The reply is what it would have
        been at the time of asking, and comes at a whole epoch second. The ticks in between are
        `lost`: the stream goes on with the first tick after the reply. Or they come `after` the
        reply, all at once, or at their times, `before` it.
        """
        fault = late_subscription(seconds, what, between)
        self._request_faults.add(fault, checks.count(times))

    def malform(self, call: str, member: str, text: str | None, times: int = 1) -> None:
        """Put *text* in place of a member of the next message to a request of *call*.

        *member* is its path, such as `tick.quote` or `history.prices.0`. *text* is written as it
        is: `NaN`, `1e999`, `"abc"` (with its quotation marks) and `[[[` are possible; `None`
        removes the member. Messages without such a member are left alone; those of streams count.
        """
        fault = malformation(checks.known_call(call), member, text)
        self._malformations.waiting += [fault] * checks.count(times)

    def clear(self) -> None:
        """Remove all waiting and lasting faults; what has happened to connections stays."""
        self.handshake_faults.clear()
        self._request_faults.clear()
        self._stream_mutes.clear()
        self._malformations.waiting.clear()
        self.lasting_faults.clear()
        self.rest_refusals.clear()
        self.refused_until = -math.inf
        self.delay_by, self.fragment_size = 0.0, None
        for each in self._targets(None):
            each.delay = 0.0
            each.fragment(None)
            each.cut(None)
        self._announce_change()

    def next_handshake_fault(self) -> HandshakeFault | None:
        """Remove and return the fault for a new connection attempt, if one waits."""
        return self.handshake_faults.popleft() if self.handshake_faults else None

    def next_rest_refusal(self) -> RestRejected | None:
        """Remove and return the error for a new REST call, if one waits."""
        return self.rest_refusals.popleft() if self.rest_refusals else None

    async def wait_accepting(self) -> None:
        """Wait until new connections are accepted."""
        while self.refusing:
            changed = self._changed
            with trio.move_on_at(self.refused_until):
                await changed.wait()

    def _queue(self, opening: HandshakeFault, times: int) -> None:
        self.handshake_faults.extend([opening] * checks.count(times))

    def _fault_calls(
        self, call: str | None, outcome: Outcome, times: int, *, executed: bool = True
    ) -> None:
        calls = CHANGING if call is None else frozenset({checks.known_call(call)})
        fault = RequestFault(RequestPattern(calls), outcome, executed)
        self._request_faults.add(fault, checks.count(times))

    def _last(
        self,
        strike: Callable[[FaultTarget], None],
        times: Times,
        connection: FaultTarget | None,
    ) -> None:
        """Strike the present connections, and *times* less one of those to come."""
        for each in self._targets(connection):
            strike(each)
        self.lasting_faults.add(strike, math.inf if times == FOR_EVER else times - 1)

    def _targets(self, connection: FaultTarget | None) -> list[FaultTarget]:
        return list(self._live.values()) if connection is None else [connection]

    def _announce_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _ignore_requests(connection: FaultTarget, *, except_ping: bool) -> None:
    connection.ignore_requests(except_ping=except_ping)


def _kill_backend(connection: FaultTarget, *, ping_every: float) -> None:
    connection.kill_backend(ping_every)
