"""The rate limits: how many requests a consumer may make in a minute and in an hour.

As in the library that Deriv's server uses, hits are kept in a sliding log for each service and
consumer, and all windows apply at once; a request that is refused is not a hit. Which call belongs
to which service is said by the texts of `website_status.api_call_limits`. Who is one consumer is
not published; that is what `scope` chooses.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import attrs

from derivtrio.simulator.protocol.envelope import Refusal

ConsumerScope = Literal["connection", "account", "everyone"]

_MINUTE = 60
_HOUR = 3600

_SERVICES = {
    "ping": ("ping",),
    "proposal": ("pricing", "outcome"),
    "proposal_open_contract": ("pricing",),
    "portfolio": ("outcome",),
    "statement": ("outcome",),
}
_OPTIONS_SERVICES = {
    "ping": ("ping",),
    "proposal": ("trading",),
    "proposal_open_contract": ("trading",),
    "buy": ("trading",),
    "sell": ("trading",),
    "balance": ("account",),
    "statement": ("account",),
    "portfolio": ("report",),
    "profit_table": ("report",),
}


@attrs.frozen
class Quota:
    """So many requests in any minute, and so many in any hour."""

    minutely: int
    hourly: int


@attrs.frozen(kw_only=True)
class RateLimits:
    """The budgets of one consumer; by default those that the live API advertised in 2026.

    *outcome* and *pricing* are for v3, where they are named so, *trading*, *account* and *report*
    for the Options API, whose documentation has a table of them. *scope* says who one consumer is:
    a connection, an account (a connection, as long as nobody is logged in), or everyone together.
    *pings* are those in a second. With *hidden* the simulator advertises the defaults all the same.
    """

    general: Quota = Quota(220, 14400)
    outcome: Quota = Quota(30, 1500)
    pricing: Quota = Quota(80, 3600)
    trading: Quota = Quota(360, 14400)
    account: Quota = Quota(100, 2000)
    report: Quota = Quota(30, 1500)
    pings: int = 10
    scope: ConsumerScope = "connection"
    hidden: bool = False


@attrs.define(eq=False)
class RateLimiter:
    """What is left to each consumer. Without *limits* nothing is counted.

    *refused* is how many requests were turned away, by call. *now* is a clock in seconds,
    and *hits* are the logs.
    """

    limits: RateLimits | None = None
    now: Callable[[], float] = float
    refused: dict[str, int] = attrs.field(factory=dict, init=False)
    hits: dict[tuple[object, str, int], deque[float]] = attrs.field(factory=dict, init=False)

    def charge(
        self, name: str, connection: int, loginid: str | None, *, options: bool = False
    ) -> None:
        """Count a request for the call *name* of v3, or of the Options API.

        Raises:
            Refusal: it is one too many (`RateLimit`).

        """
        if self.limits is None:
            return
        now, consumer = self.now(), self._consumer(self.limits.scope, connection, loginid)
        logs = []
        services = _OPTIONS_SERVICES if options else _SERVICES
        for service in services.get(name, ("general",)):
            for length, most in _windows(self.limits, service):
                hits = self._log(consumer, service, length)
                while hits and hits[0] <= now - length:
                    hits.popleft()
                if len(hits) >= most:
                    self.refused[name] = self.refused.get(name, 0) + 1
                    text = f"You have reached the rate limit for {name}."
                    raise Refusal(code="RateLimit", message=text)
                logs.append(hits)
        for hits in logs:
            hits.append(now)

    def _log(self, consumer: object, service: str, length: int) -> deque[float]:
        key = (consumer, service, length)
        if key not in self.hits:
            now, logs = self.now(), list(self.hits.items())
            for old, log in logs:
                if log and log[-1] <= now - old[2]:
                    del self.hits[old]
            self.hits[key] = deque()
        return self.hits[key]

    def advertised(self) -> dict[str, Any]:
        """Return `website_status.api_call_limits`; the misspelt name is Deriv's."""
        limits = RateLimits() if self.limits is None or self.limits.hidden else self.limits
        return {
            "max_proposal_subscription": {
                "applies_to": "subscribing to proposal concurrently",
                "max": 5,
            },
            "max_requestes_general": _said("rest of calls", limits.general),
            "max_requests_outcome": _said("portfolio, statement and proposal", limits.outcome),
            "max_requests_pricing": _said("proposal and proposal_open_contract", limits.pricing),
        }

    @staticmethod
    def _consumer(scope: ConsumerScope, connection: int, loginid: str | None) -> object:
        if scope == "everyone":
            return scope
        return loginid if scope == "account" and loginid is not None else connection


def _windows(limits: RateLimits, service: str) -> list[tuple[int, int]]:
    """Return the windows of *service*, each with its length in seconds."""
    if service == "ping":
        return [(1, limits.pings)]
    quota: Quota = getattr(limits, service)
    return [(_MINUTE, quota.minutely), (_HOUR, quota.hourly)]


def _said(applies_to: str, quota: Quota) -> dict[str, Any]:
    return {"applies_to": applies_to, "minutely": quota.minutely, "hourly": quota.hourly}
