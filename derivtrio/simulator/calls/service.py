"""The calls about the service, and those that end streams."""

from derivtrio.simulator.protocol.envelope import Message, reply
from derivtrio.simulator.sessions.session import ServerSession

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


def ping(_session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `ping`."""
    return [reply(request, "ping") | {"ping": "pong"}]


def time(_session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `time` with the epoch."""
    return [reply(request, "time") | {"time": epoch}]


def website_status(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `website_status`, and open a stream if the request subscribes."""
    status = {
        "api_call_limits": session.backend.rate_limiter.advertised(),
        "clients_country": "id",
        "currencies_config": {"USD": _USD},
        "site_status": "up",
        "supported_languages": ["EN"],
        "terms_conditions_version": "Version 50",
    }
    stream_id = None
    if request.get("subscribe"):
        key = ("website_status", "website_status")
        stream_id = session.streams.add(key, request).id
    return [reply(request, "website_status", subscription=stream_id) | {"website_status": status}]


def forget(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `forget`: 1 if the stream existed, otherwise 0."""
    found = session.streams.remove(request["forget"])
    return [reply(request, "forget") | {"forget": int(found)}]


def forget_all(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `forget_all` with the ids of the ended streams."""
    kinds = request["forget_all"]
    ended = session.streams.remove_kinds([kinds] if isinstance(kinds, str) else kinds)
    return [reply(request, "forget_all") | {"forget_all": ended}]
