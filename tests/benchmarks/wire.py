"""What the load server says: WebSocket frames with Deriv's JSON in them, made beforehand."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

_QUOTE: Final = 1234.56789
_FIRST_EPOCH: Final = 1_700_000_000
_HISTORY: Final = 5000
_TEXT: Final = 0x81
_LONGEST_SHORT: Final = 125
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127

decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode

#: Stands in a template where the epoch goes; as long as an epoch.
_EPOCH: Final = 9_999_999_999


def frame(payload: bytes, first: int = _TEXT) -> bytes:
    """Return *payload* as one unmasked frame."""
    size = len(payload)
    if size <= _LONGEST_SHORT:
        return bytes((first, size)) + payload
    if size < 2**16:
        return bytes((first, _TWO_BYTES)) + size.to_bytes(2, "big") + payload
    return bytes((first, _EIGHT_BYTES)) + size.to_bytes(8, "big") + payload


def message(request: dict[str, Any], msg_type: str, **members: Any) -> bytes:
    """Return the framed reply to *request*."""
    reply: dict[str, Any] = {"echo_req": request, "msg_type": msg_type}
    if "req_id" in request:
        reply["req_id"] = request["req_id"]
    if "passthrough" in request:
        reply["passthrough"] = request["passthrough"]
    return frame(_encode(reply | members))


class TickStream:
    """The ticks of one subscription: equal but for their epochs, which go up by one."""

    def __init__(self, request: dict[str, Any], number: int) -> None:
        self.id = f"5a1f0e3c-7d42-4b8e-9c61-{number:012d}"
        self.epoch = _FIRST_EPOCH
        tick = {
            "ask": 1235.06789,
            "bid": 1234.06789,
            "epoch": _EPOCH,
            "id": self.id,
            "pip_size": 5,
            "quote": _QUOTE,
            "symbol": request["ticks"],
        }
        whole = message(request, "tick", subscription={"id": self.id}, tick=tick)
        self._head, self._tail = whole.split(b"%d" % _EPOCH)

    def next(self) -> bytes:
        """Return the next tick, framed."""
        self.epoch += 1
        return b"%b%d%b" % (self._head, self.epoch, self._tail)


def in_turn(streams: Sequence[TickStream], count: int) -> Iterator[bytes]:
    """Yield *count* framed ticks, one of each stream after another."""

    def for_ever() -> Iterator[bytes]:
        while True:
            for stream in streams:
                yield stream.next()

    return islice(for_ever(), count)


def history(request: dict[str, Any]) -> bytes:
    """Return the framed reply to a `ticks_history`: always the full 5000 ticks."""
    times = list(range(_FIRST_EPOCH - _HISTORY, _FIRST_EPOCH))
    prices = [round(_QUOTE + step % 100 / 100, 2) for step in range(_HISTORY)]
    members = {"history": {"prices": prices, "times": times}, "pip_size": 2}
    return message(request, "history", **members)
