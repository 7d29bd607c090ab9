"""The rate limits: how many requests a consumer may make in a minute and in an hour.

1. Each service and consumer has a sliding log of hits, as in the library that Deriv's server uses.
2. All windows of a service apply. A request that is refused is not a hit.
3. The texts of `website_status.api_call_limits` say which call belongs to which service.
4. Deriv does not publish whether limits are per connection or per account; `scope` chooses.
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
    """The largest number of requests in any minute, and in any hour."""

    minutely: int
    hourly: int


@attrs.frozen(kw_only=True)
class RateLimits:
    """The limits of one consumer. The defaults are those that the live API advertised in 2026.

    *outcome* and *pricing* are services of v3; *trading*, *account* and *report* are services of
    the Options API, from the table in its documentation. *pings* is the number in a second. *scope*
    says what one consumer is: a connection, an account (before a login, the connection), or all
    clients together. With *hidden* the simulator advertises the defaults instead of these limits.
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
    """Counts the requests of each consumer; without *limits* it counts nothing.

    *now* is a clock in seconds. *refused* is the number of refused requests by call. *hits* are
    the sliding logs.
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
            Refusal: it exceeds a limit (`RateLimit`).

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
            # Drop the logs that have run out, so that old connections use no memory.
            now, logs = self.now(), list(self.hits.items())
            for old, log in logs:
                if log and log[-1] <= now - old[2]:
                    del self.hits[old]
            self.hits[key] = deque()
        return self.hits[key]

    def advertised(self) -> dict[str, Any]:
        """Return `website_status.api_call_limits`; the misspelt member is Deriv's."""
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
    """Return the windows of *service* as (length in seconds, largest number of hits)."""
    if service == "ping":
        return [(1, limits.pings)]
    quota: Quota = getattr(limits, service)
    return [(_MINUTE, quota.minutely), (_HOUR, quota.hourly)]


def _said(applies_to: str, quota: Quota) -> dict[str, Any]:
    return {"applies_to": applies_to, "minutely": quota.minutely, "hourly": quota.hourly}
