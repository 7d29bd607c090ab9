"""Deriv's rate limits: how many requests each budget has, and how a server says so. No I/O.

A *group* is what one budget is for, such as `pricing`; `catalog` says which calls count in it.
Sources: Deriv's limits page for the Options API. For v3 it is `website_status.api_call_limits`,
whose texts name the calls of each group; until it has come, the values that it had in 2026.
"""

from collections.abc import Mapping
from typing import Any, Final

MINUTE: Final = 60.0
HOUR: Final = 3600.0

#: Requests per window, by group: in a minute and in an hour; of pings in a second.
LIMITS: Final[Mapping[str, Mapping[str, Mapping[float, int]]]] = {
    "v3": {
        "ping": {1.0: 10},
        "pricing": {MINUTE: 80, HOUR: 3600},
        "outcome": {MINUTE: 30, HOUR: 1500},
        "general": {MINUTE: 220, HOUR: 14400},
    },
    "options": {
        "ping": {1.0: 10},
        "trading": {MINUTE: 360, HOUR: 14400},
        "account": {MINUTE: 100, HOUR: 2000},
        "report": {MINUTE: 30, HOUR: 1500},
        "general": {MINUTE: 220, HOUR: 14400},
    },
}

#: How many streams of proposals v3 allowed on one connection in 2026. (Of the Options API no such
#: limit is known.)
PROPOSALS: Final = 5

#: The codes of refusals that speak of these budgets, and not of one contract or one resource.
REFUSALS: Final = frozenset({"RateLimit", "RateLimitExceeded"})

#: Under which names `website_status` has the groups; the misspelt one is Deriv's.
_MEMBERS: Final = {
    "max_requestes_general": "general",
    "max_requests_outcome": "outcome",
    "max_requests_pricing": "pricing",
}
_PERIODS: Final = {"minutely": MINUTE, "hourly": HOUR}

#: The groups whose limits a server may advertise.
ADVERTISED: Final = frozenset(_MEMBERS.values())

#: The highest limit that is believed: each request of the last hour is remembered.
_MOST_ADVERTISED: Final = 10**6


def advertised_in(message: Mapping[str, Any]) -> dict[str, dict[float, int]]:
    """Return the limits in a `website_status` message: of each group, by the window's length.

    What the message does not say, or says in a way that makes no sense, is left out.
    """
    found = _api_call_limits(message)
    return {
        group: _limits_in(limits)
        for member, group in _MEMBERS.items()
        if isinstance(limits := found.get(member), Mapping)
    }


def most_proposals_in(message: Mapping[str, Any]) -> int | None:
    """Return how many streams of proposals a `website_status` message allows; None: not said."""
    limit = _api_call_limits(message).get("max_proposal_subscription")
    most = limit.get("max") if isinstance(limit, Mapping) else None
    return most if type(most) is int and most > 0 else None


def _api_call_limits(message: Mapping[str, Any]) -> Mapping[str, Any]:
    status = message.get("website_status")
    advertised = status.get("api_call_limits") if isinstance(status, Mapping) else None
    return advertised if isinstance(advertised, Mapping) else {}


def _limits_in(advertised: Mapping[str, Any]) -> dict[float, int]:
    limits = {period: advertised.get(member) for member, period in _PERIODS.items()}
    return {
        period: min(most, _MOST_ADVERTISED)
        for period, most in limits.items()
        if type(most) is int and most > 0
    }
