"""What is wanted: the streams that must exist on every connection, and how to ask for them.

Subscription ids live and die with a connection, so nothing is kept by them. A stream is kept by
its request, which is asked again on every new connection. One kind of stream must not be asked
for in the words it was opened with: that of a purchase. It goes on as
`proposal_open_contract` for the contract that was bought.

Equal requests are one stream, whoever makes them and whatever the order of their members: Deriv
allows one of each on a connection. `key_of` says which are equal.

No I/O in here. What is missing of a stream is told by `continuity`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import attrs

from derivtrio import codec
from derivtrio.catalog import is_safe

S = TypeVar("S")


@attrs.define(eq=False)
class Ledger(Generic[S]):
    """The streams wanted now, in the order in which they were first asked for."""

    _wanted: dict[S, None] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._wanted)

    def __iter__(self) -> Iterator[S]:
        return iter(list(self._wanted))

    def add(self, stream: S) -> None:
        """Want *stream* on every connection from now on."""
        self._wanted[stream] = None

    def remove(self, stream: S) -> None:
        """Want it no more; it need not have been wanted."""
        self._wanted.pop(stream, None)


def resumption(
    name: str, request: Mapping[str, Any], first: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the request that resumes a stream on a new connection.

    `name` and `request` opened it, `first` was its first reply. None: it cannot be resumed
    without doing again what opened it.
    """
    if is_safe(name):
        return request
    purchase = first.get("buy")
    if isinstance(purchase, dict) and "contract_id" in purchase:
        account = {"loginid": request["loginid"]} if "loginid" in request else {}
        contract = {"contract_id": purchase["contract_id"], "subscribe": 1}
        return {"proposal_open_contract": 1, **contract, **account}
    return None


def key_of(name: str, request: Mapping[str, Any]) -> str | None:
    """Return what equal requests have in common; None for one that is never shared.

    A `req_id` makes no difference: the writer gives every request its own.
    """
    if not is_safe(name):
        return None
    return codec.sorted_text({member: request[member] for member in request if member != "req_id"})
