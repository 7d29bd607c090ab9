"""Change the account of a live client: v3's `authorize` and `logout`, remembered.

The next connection is authorized with the token that the server accepted last. A request that was
written and whose caller went away may have been accepted, too. Such a request is taken back: the
client repeats the request that the server accepted before it.

A stream of account data does not follow the change. Its next message could be about another
account. So every such stream ends with `AuthorizationRequired`, and user code opens it again.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from derivtrio.api.catalog import PERSONAL_STREAMS
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import make_call, repeat
from derivtrio.connection.endpoints import speaks_options
from derivtrio.errors import ApiError, AuthorizationRequired, ResponseTimeout, invalid_request
from derivtrio.policy.retry import ONCE
from derivtrio.supervision.authorization import Identity
from derivtrio.supervision.supervisor import Supervisor
from derivtrio.supervision.tokens import TokenSource, checked_token

_NOTHING: Final[Mapping[str, Any]] = {}
_LOGOUT: Final[Mapping[str, Any]] = {"logout": 1}

_LOGGED_OUT: Final = "the client has logged out"


async def change_by_call(supervisor: Supervisor, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make the `authorize` or `logout` of *request*, and remember the change.

    Two kinds are made as they are, and not remembered: a request whose tokens are not tokens, which
    the server refuses; and any on the Options API, whose `logout` is for this connection only.
    """
    if supervisor.session.generation == "options":
        reply = await make_call(api_call(request), supervisor.session)
        _end_personal_streams(supervisor, _LOGGED_OUT)
        return reply
    if "logout" in request:
        return await log_out(supervisor, request)
    if (tokens := _tokens_in(request)) is None:
        return await make_call(api_call(request), supervisor.session)
    more = {name: value for name, value in request.items() if name not in ("authorize", "tokens")}
    return await change_account(supervisor, tokens, more)


async def change_account(
    supervisor: Supervisor, token: TokenSource, more: Mapping[str, Any] = _NOTHING
) -> dict[str, Any]:
    """Authorize this connection, and all later ones, with *token*; return the server's reply.

    *more* has the other members of the request, for this time only.
    """
    _require_v3(supervisor)
    if (checked := checked_token(token)) is None:
        text = "authorize takes a token; logout takes none"
        raise ValueError(text)
    authorization, session = supervisor.authorization, supervisor.session

    async def ask(request: Mapping[str, Any]) -> dict[str, Any]:
        call = api_call({**request, **more})

        def again(refused: Call) -> Call:
            nonlocal call
            call = attrs.evolve(refused)
            return call

        try:
            return await repeat(call, again, session, ONCE)
        except ResponseTimeout:
            _take_back(supervisor)
            raise
        finally:
            if call.abandoned and call.req_id:  # written, and then its caller was cancelled
                _take_back(supervisor)

    async with authorization.turn:
        reply = await authorization.authorize(checked, ask, session)
        _end_personal_streams(supervisor, "the client was authorized anew; open the stream again")
    return reply


async def log_out(supervisor: Supervisor, request: Mapping[str, Any] = _LOGOUT) -> dict[str, Any]:
    """Log out, and authorize no later connection; return the server's reply."""
    _require_v3(supervisor)
    authorization = supervisor.authorization
    async with authorization.turn:
        # Forget the token first: a connection that is replaced meanwhile must not use it.
        remembered, authorization.identity = authorization.identity, Identity(None)
        call, refused = api_call(request), False
        try:
            reply = await make_call(call, supervisor.session)
        except ApiError:
            refused = True
            raise
        finally:
            never_written = not call.req_id
            if refused or never_written:
                authorization.identity = remembered
        authorization.identity = Identity(None)
        _end_personal_streams(supervisor, _LOGGED_OUT)
    return reply


def _tokens_in(request: Mapping[str, Any]) -> TokenSource | None:
    """Return the tokens of an `authorize` request; None where one of them is not a token."""
    others = request.get("tokens", [])
    if not isinstance(others, list | tuple):
        return None
    try:
        return checked_token([request["authorize"], *others])
    except ValueError:
        return None


def _require_v3(supervisor: Supervisor) -> None:
    if speaks_options(supervisor.authorization.endpoint):
        text = (
            "the Options API has no authorize: a connection belongs to its account for good;"
            " open another client for another account"
        )
        raise invalid_request(text)


def _take_back(supervisor: Supervisor) -> None:
    """Give the present connection the account that the client remembers; nobody waits for it."""
    if (connection := supervisor.session.connection) is not None:
        request = supervisor.authorization.identity.accepted or _LOGOUT
        call = api_call(request, only_on=connection.number)
        supervisor.session.queue.put_first([call])


def _end_personal_streams(supervisor: Supervisor, why: str) -> None:
    for upstream in supervisor.registry:
        if upstream.name in PERSONAL_STREAMS:
            upstream.close(AuthorizationRequired("AuthorizationRequired", why))
            supervisor.registry.remove(upstream)
