"""What can go wrong with a single request: the faults that wait for requests to come.

A mishap befalls the next request of its calls. It says whether the request is executed, and what
becomes of the reply: it is lost with the connection, an error takes its place, or it is late.
"""

from collections.abc import Collection

import attrs

from derivtrio.simulator.protocol.envelope import Refusal

#: The calls that change something, where it matters whether they were executed.
CHANGING = frozenset({"buy", "sell", "cancel", "contract_update", "sell_expired", "topup_virtual"})

#: Deriv's words for a backend that failed, or gave no answer within 15 seconds.
_TEXTS = {"Timeout": "Timeout", "RateLimit": "You have reached the rate limit."}
_FAILED = "Sorry, an error occurred while processing your request."


@attrs.frozen
class RequestFault:
    """What happens to one request of *calls*.

    It is *executed* or not. The reply is an *error* if that is set, comes *late* by that many
    seconds, or never, when the connection *drops* instead.
    """

    calls: Collection[str]
    executed: bool = True
    drops: bool = False
    error: Refusal | None = None
    late: float = 0.0


@attrs.define(eq=False)
class RequestFaults:
    """The mishaps that wait, in the order in which they were asked for."""

    waiting: list[RequestFault] = attrs.field(factory=list, init=False)

    def add(self, fault: RequestFault, times: int) -> None:
        """Let *mishap* befall that many requests."""
        self.waiting += [fault] * times

    def clear(self) -> None:
        """Let nothing more happen."""
        self.waiting.clear()

    def take(self, call: str | None) -> RequestFault | None:
        """Return what befalls a request of *call* that has just come, and use it up."""
        for position, fault in enumerate(self.waiting):
            if call in fault.calls:
                return self.waiting.pop(position)
        return None


def failure(code: str) -> Refusal:
    """Return the error of a backend that failed with this *code*."""
    return Refusal(code=code, message=_TEXTS.get(code, _FAILED))
