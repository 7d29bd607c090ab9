"""Faults of single requests.

A fault waits for the next request of one of its calls. It says whether the request is executed, and
what happens to the reply: it is lost with the connection, replaced by an error, or late.
"""

from collections.abc import Collection

import attrs

from derivtrio.simulator.protocol.envelope import Refusal

#: The calls that change something: for them it matters whether the request was executed.
CHANGING = frozenset({"buy", "sell", "cancel", "contract_update", "sell_expired", "topup_virtual"})

#: Deriv's texts for a backend that failed, or did not answer within 15 seconds.
_TEXTS = {"Timeout": "Timeout", "RateLimit": "You have reached the rate limit."}
_FAILED = "Sorry, an error occurred while processing your request."


@attrs.frozen
class RequestFault:
    """What happens to one request of one of *calls*.

    The request is *executed* or not. If it *drops*, the connection ends instead of a reply. With an
    *error* that is the reply. Otherwise the reply comes *late* by that many seconds.
    """

    calls: Collection[str]
    executed: bool = True
    drops: bool = False
    error: Refusal | None = None
    late: float = 0.0


@attrs.define(eq=False)
class RequestFaults:
    """The faults that wait for a request, in the order in which they were added."""

    waiting: list[RequestFault] = attrs.field(factory=list, init=False)

    def add(self, fault: RequestFault, times: int) -> None:
        """Let *fault* happen to that many requests."""
        self.waiting += [fault] * times

    def clear(self) -> None:
        """Remove all faults."""
        self.waiting.clear()

    def take(self, call: str | None) -> RequestFault | None:
        """Remove and return the fault for a new request of *call*, if one waits."""
        for position, fault in enumerate(self.waiting):
            if call in fault.calls:
                return self.waiting.pop(position)
        return None


def backend_error(code: str) -> Refusal:
    """Return the error of a backend that failed with this *code*."""
    return Refusal(code=code, message=_TEXTS.get(code, _FAILED))
