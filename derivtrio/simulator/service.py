"""The calls about the service itself, and the two that end streams."""

from derivtrio.simulator.envelope import Message, reply
from derivtrio.simulator.session import Session

#: The budgets that the live API advertised in 2026; the misspelt name is Deriv's.
_API_CALL_LIMITS = {
    "max_proposal_subscription": {
        "applies_to": "subscribing to proposal concurrently",
        "max": 5,
    },
    "max_requestes_general": {"applies_to": "rest of calls", "minutely": 220, "hourly": 14400},
    "max_requests_outcome": {
        "applies_to": "portfolio, statement and proposal",
        "minutely": 30,
        "hourly": 1500,
    },
    "max_requests_pricing": {
        "applies_to": "proposal and proposal_open_contract",
        "minutely": 80,
        "hourly": 3600,
    },
}

_USD = {
    "fractional_digits": 2,
    "is_deposit_suspended": 0,
    "is_suspended": 0,
    "is_withdrawal_suspended": 0,
    "name": "US Dollar",
    "stake_default": 10,
    "transfer_between_accounts": {"fees": {}, "limits": {"min": 1}},
    "type": "fiat",
}


def ping(_session: Session, request: Message, _epoch: int) -> list[Message]:
    """Answer `ping`."""
    return [reply(request, "ping") | {"ping": "pong"}]


def time(_session: Session, request: Message, epoch: int) -> list[Message]:
    """Answer `time` with the epoch."""
    return [reply(request, "time") | {"time": epoch}]


def website_status(session: Session, request: Message, _epoch: int) -> list[Message]:
    """Answer `website_status`, and keep the stream if asked to."""
    status = {
        "api_call_limits": _API_CALL_LIMITS,
        "clients_country": "id",
        "currencies_config": {"USD": _USD},
        "site_status": "up",
        "supported_languages": ["EN"],
        "terms_conditions_version": "Version 50",
    }
    stream_id = None
    if request.get("subscribe"):
        key = ("website_status", "website_status")
        stream_id = session.subscriptions.add(key, request).id
    return [reply(request, "website_status", subscription=stream_id) | {"website_status": status}]


def forget(session: Session, request: Message, _epoch: int) -> list[Message]:
    """Answer `forget`: 1 if the stream was there, 0 otherwise."""
    found = session.subscriptions.remove(request["forget"])
    return [reply(request, "forget") | {"forget": int(found)}]


def forget_all(session: Session, request: Message, _epoch: int) -> list[Message]:
    """Answer `forget_all` with the ids of the streams that it ended."""
    kinds = request["forget_all"]
    ended = session.subscriptions.remove_kinds([kinds] if isinstance(kinds, str) else kinds)
    return [reply(request, "forget_all") | {"forget_all": ended}]
