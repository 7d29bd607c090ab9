"""The faults of a simulator, as methods that a test calls.

There are four kinds:

1. Faults of connection attempts: `refuse`, and those from `silence` to `accept_then_close`, which
   happen to the next attempts, in the order of the calls. Over TCP a REST call is a connection, and
   counts as an attempt; `rest` is for REST calls only.
2. Faults of live connections, from `drop` to `cut`: they happen at once, to all connections or to
   the given one.
3. Lasting faults of connections, `delay` and `fragmented`: without a connection they apply to all,
   later ones too, until `clear`.
4. Faults of requests, from `lose_before` to `answer_late`: they happen to the next requests of the
   named *call*, on any connection, in the order of the calls. Without a *call* they happen to the
   next requests that change something.

Every method returns at once; the simulator's tasks do the rest.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping

import attrs
import trio

from derivtrio.api.codec import encode
from derivtrio.errors import RestRejected
from derivtrio.simulator.faults.fault_target import FaultTarget
from derivtrio.simulator.faults.handshake_faults import HandshakeFault
from derivtrio.simulator.faults.request_faults import (
    CHANGING,
    RequestFault,
    RequestFaults,
    backend_error,
)
from derivtrio.simulator.network.handshake import HttpResponse

#: A record header that no TLS version has, and the banner of another protocol.
_NOT_TLS = b"\x00\xffThis is not a ServerHello\r\n"
_NOT_HTTP = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"


@attrs.define(eq=False)
class Faults:
    """The faults of one simulator; see the module for the four kinds."""

    _live: Mapping[int, FaultTarget] = attrs.field(repr=False)
    _request_faults: RequestFaults = attrs.field(repr=False)
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
        duration = math.inf if seconds is None else seconds
        self.refused_until = trio.current_time() + duration
        self.on_refuse()
        self._announce_change()

    def silence(self, times: int = 1) -> None:
        """Accept the next connections and send nothing, not even in TLS."""
        self._queue(HandshakeFault(below_tls=True, hold=True), times)

    def reject(self, status: int, body: bytes = b"", times: int = 1) -> None:
        """Answer the next handshakes with an HTTP response of this *status* and *body*."""
        self._queue(HandshakeFault(HttpResponse(status, body).encoded()), times)

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
        refusals = (RestRejected(status, code, message, retry_after) for _ in range(times))
        self.rest_refusals.extend(refusals)

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
        self._queue(HandshakeFault(close_code=code), times)

    def drop(self, *, reset: bool = False, connection: FaultTarget | None = None) -> None:
        """End the byte stream without a Close frame; with *reset*, by a TCP RST segment."""
        for each in self._targets(connection):
            each.drop(reset=reset)

    def close(
        self, code: int = 1001, reason: str = "", *, connection: FaultTarget | None = None
    ) -> None:
        """Begin the close handshake with this *code* and *reason*."""
        for each in self._targets(connection):
            each.close(code, reason)

    def close_without_fin(
        self, code: int = 1001, reason: str = "", *, connection: FaultTarget | None = None
    ) -> None:
        """Send a Close frame, then keep the byte stream open and silent."""
        for each in self._targets(connection):
            each.close(code, reason, fin=False)

    def freeze(self, *, connection: FaultTarget | None = None) -> None:
        """Make the connection half-open: nothing is read, written or closed any more.

        This lasts until the simulator ends; `clear` does not undo it.
        """
        for each in self._targets(connection):
            each.freeze()

    def delay(self, seconds: float, *, connection: FaultTarget | None = None) -> None:
        """Send everything *seconds* later, until `clear`."""
        if connection is None:
            self.delay_by = seconds
        for each in self._targets(connection):
            each.delay = seconds

    def fragmented(self, size: int, *, connection: FaultTarget | None = None) -> None:
        """Send every message in frames of *size* characters, until `clear`."""
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
        filling = "x" * (size - len(empty))
        self.garbage(encode({"msg_type": "huge", "huge": filling}), connection=connection)

    def unknown(self, *, connection: FaultTarget | None = None) -> None:
        """Send a well-formed message of an unknown type, which answers no request."""
        message = {"msg_type": "unheard_of", "unheard_of": {"id": "unheard-of"}, "echo_req": {}}
        self.garbage(encode(message), connection=connection)

    def cut(self, size: int, *, connection: FaultTarget | None = None) -> None:
        """Send only *size* bytes of the next frame, then end the byte stream."""
        for each in self._targets(connection):
            each.cut(size)

    def lose_before(self, call: str | None = None, times: int = 1) -> None:
        """Drop the connection when the request arrives; do not execute it."""
        self._request_faults.add(RequestFault(_calls(call), executed=False, drops=True), times)

    def lose_after(self, call: str | None = None, times: int = 1) -> None:
        """Execute the request, then drop the connection instead of replying."""
        self._request_faults.add(RequestFault(_calls(call), drops=True), times)

    def fail_before(
        self, code: str = "WrongResponse", call: str | None = None, times: int = 1
    ) -> None:
        """Reply with an error of this *code*; do not execute the request."""
        self._request_faults.add(
            RequestFault(_calls(call), executed=False, error=backend_error(code)), times
        )

    def fail_after(
        self, code: str = "WrongResponse", call: str | None = None, times: int = 1
    ) -> None:
        """Execute the request, but reply with an error of this *code*."""
        self._request_faults.add(RequestFault(_calls(call), error=backend_error(code)), times)

    def answer_late(self, seconds: float, call: str | None = None, times: int = 1) -> None:
        """Execute the request at once; reply at the first whole epoch second *seconds* later."""
        self._request_faults.add(RequestFault(_calls(call), late=seconds), times)

    def clear(self) -> None:
        """Remove all waiting and lasting faults; what has happened to connections stays."""
        self.handshake_faults.clear()
        self._request_faults.clear()
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
        self.handshake_faults.extend([opening] * times)

    def _targets(self, connection: FaultTarget | None) -> list[FaultTarget]:
        return list(self._live.values()) if connection is None else [connection]

    def _announce_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _calls(call: str | None) -> frozenset[str]:
    return CHANGING if call is None else frozenset({call})
