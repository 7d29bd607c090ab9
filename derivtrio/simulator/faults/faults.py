"""What can go wrong, at the push of a button.

Faults of the first kind wait for connections to come: `refuse`, and the ones that take `times`,
which befall that many attempts, in the order in which they were asked for. Those of the second
kind befall the live connections at once, all of them or the given one. A REST call, too, comes on a
connection of its own over TCP; `rest` waits for REST calls alone. `delay` and `fragmented` are
standing: without a connection they hold for all, later ones too, until `clear`. Those of the
third kind wait for requests: `lose_before`, `lose_after`, `fail_before`, `fail_after` and
`answer_late` befall that many requests of the named *call*, on any connection, in the order in
which they were asked for. Without a call they wait for those that change something.

Every method returns at once; what it asks for happens as soon as the simulator's tasks run.
"""

import math
from collections import deque
from collections.abc import Callable

import attrs
import trio

from derivtrio.codec import encode
from derivtrio.errors import RestRejected
from derivtrio.simulator.faults.request_faults import CHANGING, RequestFault, RequestFaults, failure
from derivtrio.simulator.network.handshake import HttpResponse
from derivtrio.simulator.server.connection import ServerConnection

#: A record header no TLS version knows, and the banner of another protocol.
_NOT_TLS = b"\x00\xffThis is not a ServerHello\r\n"
_NOT_HTTP = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"


@attrs.frozen
class HandshakeFault:
    """What becomes of a connection attempt instead of a normal handshake.

    After the client's first bytes *reply* is sent, *below_tls* or through it, and the byte stream
    is closed, or kept open and mute on *hold*. A *close_code* lets the handshake succeed and
    sends a Close frame with that code right after it.
    """

    reply: bytes = b""
    below_tls: bool = False
    hold: bool = False
    close_code: int | None = None


@attrs.define(eq=False)
class Faults:
    """The faults of one simulator; see the module for the two kinds."""

    _live: dict[int, ServerConnection] = attrs.field(repr=False)
    _request_faults: RequestFaults = attrs.field(repr=False)
    handshake_faults: deque[HandshakeFault] = attrs.field(factory=deque, init=False)
    rest_refusals: deque[RestRejected] = attrs.field(factory=deque, init=False)
    refused_until: float = attrs.field(default=-math.inf, init=False)
    delay_by: float = attrs.field(default=0.0, init=False)
    fragment_size: int | None = attrs.field(default=None, init=False)
    #: Called when refusing begins, to close the listening socket.
    on_refuse: Callable[[], None] = attrs.field(default=lambda: None, init=False, repr=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)

    @property
    def refusing(self) -> bool:
        """Whether new connections are refused now."""
        return trio.current_time() < self.refused_until

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse new connections (ECONNREFUSED) for *seconds*, or until `clear`."""
        duration = math.inf if seconds is None else seconds
        self.refused_until = trio.current_time() + duration
        self.on_refuse()
        self._announce_change()

    def silence(self, times: int = 1) -> None:
        """Accept the next connections and never say anything, not even in TLS."""
        self._queue(HandshakeFault(below_tls=True, hold=True), times)

    def reject(self, status: int, body: bytes = b"", times: int = 1) -> None:
        """Answer the next handshakes with this HTTP *status* and *body*."""
        self._queue(HandshakeFault(HttpResponse(status, body).response()), times)

    def rest(
        self,
        status: int,
        code: str = "InternalServerError",
        message: str = "Scripted.",
        *,
        retry_after: float | None = None,
        times: int = 1,
    ) -> None:
        """Refuse the next REST calls with this *status*, an error and perhaps a `Retry-After`."""
        refusals = (RestRejected(status, code, message, retry_after) for _ in range(times))
        self.rest_refusals.extend(refusals)

    def break_tls(self, times: int = 1) -> None:
        """Answer the next connections' first bytes with what is no ServerHello, and hang up."""
        self._queue(HandshakeFault(_NOT_TLS, below_tls=True), times)

    def garbage_handshake(self, times: int = 1) -> None:
        """Answer the next handshakes with what is not HTTP, and hang up."""
        self._queue(HandshakeFault(_NOT_HTTP), times)

    def hang_up(self, times: int = 1) -> None:
        """Close the next connections when their handshake request has come, without a word."""
        self._queue(HandshakeFault(), times)

    def accept_then_close(self, code: int = 1000, times: int = 1) -> None:
        """Accept the next handshakes and send a Close frame with *code* right after."""
        self._queue(HandshakeFault(close_code=code), times)

    def drop(self, *, reset: bool = False, connection: ServerConnection | None = None) -> None:
        """End the byte stream without a Close frame; with *reset*, by a TCP RST."""
        for each in self._targets(connection):
            each.drop(reset=reset)

    def close(
        self, code: int = 1001, reason: str = "", *, connection: ServerConnection | None = None
    ) -> None:
        """Begin the close handshake with this *code* and *reason*."""
        for each in self._targets(connection):
            each.close(code, reason)

    def close_without_fin(
        self, code: int = 1001, reason: str = "", *, connection: ServerConnection | None = None
    ) -> None:
        """Send a Close frame, then keep the byte stream open and mute for ever."""
        for each in self._targets(connection):
            each.close(code, reason, fin=False)

    def freeze(self, *, connection: ServerConnection | None = None) -> None:
        """Make the connection half-open: from now on nothing is read, written or closed.

        It stays so until the simulator ends: `clear` does not thaw it.
        """
        for each in self._targets(connection):
            each.freeze()

    def delay(self, seconds: float, *, connection: ServerConnection | None = None) -> None:
        """Send everything *seconds* later than it would have been. Standing."""
        if connection is None:
            self.delay_by = seconds
        for each in self._targets(connection):
            each.delay = seconds

    def fragmented(self, size: int, *, connection: ServerConnection | None = None) -> None:
        """Send every message in frames of *size* characters. Standing."""
        if connection is None:
            self.fragment_size = size
        for each in self._targets(connection):
            each.websocket.fragment = size

    def garbage(
        self, data: str | bytes = "<html>504</html>", *, connection: ServerConnection | None = None
    ) -> None:
        """Send *data*: as a text frame if it is text, as bytes that are no frame otherwise."""
        for each in self._targets(connection):
            each.inject(data)

    def huge(self, size: int, *, connection: ServerConnection | None = None) -> None:
        """Send one message of *size* bytes, or a few more if that is not even an envelope."""
        empty = encode({"msg_type": "huge", "huge": ""})
        filling = "x" * (size - len(empty))
        self.garbage(encode({"msg_type": "huge", "huge": filling}), connection=connection)

    def unknown(self, *, connection: ServerConnection | None = None) -> None:
        """Send a well-formed message of a type that nobody has asked for or heard of."""
        message = {"msg_type": "unheard_of", "unheard_of": {"id": "unheard-of"}, "echo_req": {}}
        self.garbage(encode(message), connection=connection)

    def cut(self, size: int, *, connection: ServerConnection | None = None) -> None:
        """Send only *size* bytes of the next message's frame, then end the byte stream."""
        for each in self._targets(connection):
            each.cut(size)

    def lose_before(self, call: str | None = None, times: int = 1) -> None:
        """Drop the connection when the request comes, and do not execute it."""
        self._request_faults.add(RequestFault(_calls(call), executed=False, drops=True), times)

    def lose_after(self, call: str | None = None, times: int = 1) -> None:
        """Execute the request, and drop the connection in place of a reply."""
        self._request_faults.add(RequestFault(_calls(call), drops=True), times)

    def fail_before(
        self, code: str = "WrongResponse", call: str | None = None, times: int = 1
    ) -> None:
        """Answer with an error of this *code*, and do not execute the request."""
        self._request_faults.add(
            RequestFault(_calls(call), executed=False, error=failure(code)), times
        )

    def fail_after(
        self, code: str = "WrongResponse", call: str | None = None, times: int = 1
    ) -> None:
        """Execute the request, and answer with an error of this *code* all the same."""
        self._request_faults.add(RequestFault(_calls(call), error=failure(code)), times)

    def answer_late(self, seconds: float, call: str | None = None, times: int = 1) -> None:
        """Execute the request at once, and reply *seconds* later, at a whole epoch second."""
        self._request_faults.add(RequestFault(_calls(call), late=seconds), times)

    def clear(self) -> None:
        """Lift what is standing or waiting: connections that were hit stay as they are."""
        self.handshake_faults.clear()
        self._request_faults.clear()
        self.rest_refusals.clear()
        self.refused_until = -math.inf
        self.delay_by, self.fragment_size = 0.0, None
        for each in self._targets(None):
            each.delay, each.websocket.fragment = 0.0, None
            each.cut(None)
        self._announce_change()

    def next_handshake_fault(self) -> HandshakeFault | None:
        """Return what befalls the connection attempt that has just come, and use it up."""
        return self.handshake_faults.popleft() if self.handshake_faults else None

    def next_rest_refusal(self) -> RestRejected | None:
        """Return what befalls the REST call that has just come, and use it up."""
        return self.rest_refusals.popleft() if self.rest_refusals else None

    async def wait_accepting(self) -> None:
        """Wait until new connections are not refused (any more)."""
        while self.refusing:
            changed = self._changed
            with trio.move_on_at(self.refused_until):
                await changed.wait()

    def _queue(self, opening: HandshakeFault, times: int) -> None:
        self.handshake_faults.extend([opening] * times)

    def _targets(self, connection: ServerConnection | None) -> list[ServerConnection]:
        return list(self._live.values()) if connection is None else [connection]

    def _announce_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _calls(call: str | None) -> frozenset[str]:
    return CHANGING if call is None else frozenset({call})
