"""Whom the client acts for, on every connection, and how each connection comes to know it.

On v3 a connection is told with an `authorize` request, whose token is remembered for the next one.
On the Options API a connection belongs to an account from its handshake on; that it really does is
seen by asking for the balance. Either way an account is announced when the server has named it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
import trio

from derivtrio.calls.call import api_call
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.endpoints import Endpoint, account_of, ask, generation_of
from derivtrio.errors import HandshakeRejected, InvalidToken
from derivtrio.events import Authorized
from derivtrio.policy.rate_limits import Urgency

#: What authorizes: a token, several of them, or an async function that is asked for one.
TokenSource = str | Sequence[str] | Callable[[], Awaitable[str]]

#: How many tokens an `authorize` request has room for (Deriv's v3 schema: one, and 25 more).
_MOST_TOKENS = 26

Ask = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


@attrs.frozen
class Identity:
    """Whom the client acts for.

    Attributes:
        token: what authorizes the next connection; None on the Options API, and for nobody.
        loginid: the account that the server named last; None for nobody.
        accepted: the request that it accepted last, with its tokens.

    """

    token: TokenSource | None = attrs.field(repr=False)
    loginid: str | None = None
    accepted: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.define(eq=False)
class Authorization:
    """Has connections to *endpoint* act for whom the client acts for.

    Attributes:
        identity: whom that is.
        turn: held by those who change it.

    """

    endpoint: Endpoint
    identity: Identity
    turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @property
    def loginid(self) -> str | None:
        """The account that a request is for which names none; None for nobody, or in a change."""
        if self.turn.locked():
            return None
        return self.identity.loginid or account_of(self.endpoint)

    def qualify(self, error: Exception) -> None:
        """Note on a handshake's *error* that the URL was a one-time URL, if it was."""
        if isinstance(error, HandshakeRejected):
            error.one_time = account_of(self.endpoint) is not None

    async def prove(self, connection: Connection, session: Session) -> None:
        """Have *connection* act for the account, if there is one, and announce it.

        Raises:
            ApiError: the server refuses.
            EndpointFailed: the token function is broken.

        """

        async def asked(request: Mapping[str, Any]) -> dict[str, Any]:
            urgency = Urgency.TRADE  # nothing can be sold before it
            call = api_call(request, only_on=connection.number, restores=True, urgency=urgency)
            session.queue.put_last([call])
            return await call.wait()

        account_id = account_of(self.endpoint)
        if account_id is not None:
            reply = await asked({"balance": 1})
            session.bus.announce(Authorized(_loginid(reply.get("balance")) or account_id))
        elif self.identity.token is not None:
            await self.authorize(self.identity.token, asked, session)

    async def authorize(self, token: TokenSource, asked: Ask, session: Session) -> dict[str, Any]:
        """Have the server asked, by *asked*, to accept *token*; note that, and return its reply.

        A token function is asked for another one, once, if the server finds the first invalid.
        """
        try:
            return await self._authorize(token, asked, session)
        except InvalidToken:
            if not callable(token):
                raise
        return await self._authorize(token, asked, session)

    async def _authorize(self, token: TokenSource, asked: Ask, session: Session) -> dict[str, Any]:
        secrets = [await ask(token, "the token function")] if callable(token) else _listed(token)
        first, *others = secrets
        request = {"authorize": first} | ({"tokens": others} if others else {})
        reply = await asked(request)
        self.identity = Identity(token, _loginid(reply.get("authorize")), request)
        session.bus.announce(Authorized(self.identity.loginid or ""))
        return reply


def checked_token(token: TokenSource | None) -> TokenSource | None:
    """Return *token*, if it can be one.

    Raises:
        ValueError: it cannot; the message does not show it.

    """
    if token is None or callable(token):
        return token
    if isinstance(token, Sequence) and not isinstance(token, (bytes, bytearray)):
        listed = _listed(token)
        if listed and all(isinstance(each, str) and each.strip() for each in listed):
            if len(listed) <= _MOST_TOKENS:
                return token if isinstance(token, str) else tuple(listed)
            text = f"{len(listed)} tokens are too many: Deriv takes {_MOST_TOKENS} at most"
            raise ValueError(text)
    found = "one that is blank" if isinstance(token, str) else type(token).__name__
    if isinstance(token, list | tuple):
        found = "a list with something else in it" if token else "an empty list"
    text = f"token is a non-empty str, several of them, an async function, or None, not {found}"
    raise ValueError(text)


def checked_for(endpoint: Endpoint, token: TokenSource | None) -> TokenSource | None:
    """Return *token*, if *endpoint* has a use for one.

    Raises:
        ValueError: it has not, or *token* can be none; the message does not show it.

    """
    if token is not None and speaks_options(endpoint):
        text = (
            "the Options API takes no token on its WebSocket: for an account give"
            " endpoint=derivtrio.OptionsAccount(account_id, app_id, token)"
        )
        raise ValueError(text)
    return checked_token(token)


def speaks_options(endpoint: Endpoint) -> bool:
    """Return whether connections to *endpoint* are bound to their account, if any, for good."""
    return generation_of(endpoint) == "options"


def _loginid(account: Any) -> str | None:
    """Return the id of the account that the payload of a reply is about."""
    loginid = account.get("loginid") if isinstance(account, dict) else None
    return None if loginid is None else str(loginid)


def _listed(token: TokenSource) -> list[str]:
    """Return the tokens that *token*, which is no function, consists of."""
    return [token] if isinstance(token, str) else list(token or ())  # type: ignore[arg-type]
