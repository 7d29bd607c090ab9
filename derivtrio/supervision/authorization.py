"""Which account the client acts for, and how each new connection learns it.

On v3 an `authorize` request tells the connection; its token is remembered for the next connection.
On the Options API a connection belongs to an account from its handshake on, and a request for the
balance proves that it does. Either way `Authorized` is announced when the server has named the
account.
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

#: A token, several tokens, or an async function that returns a token.
TokenSource = str | Sequence[str] | Callable[[], Awaitable[str]]

#: The most tokens in one `authorize` request (Deriv's v3 schema: one, and 25 more).
_MOST_TOKENS = 26

Ask = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


@attrs.frozen
class Identity:
    """The account that the client acts for.

    Attributes:
        token: authorizes the next connection; None on the Options API, and without an account.
        loginid: the account that the server named last; None without one.
        accepted: the `authorize` request that the server accepted last, with its tokens.

    """

    token: TokenSource | None = attrs.field(repr=False)
    loginid: str | None = None
    accepted: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.define(eq=False)
class Authorization:
    """Makes every connection to *endpoint* act for the same account.

    Attributes:
        identity: that account.
        turn: a lock, held while the account is being changed.

    """

    endpoint: Endpoint
    identity: Identity
    turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @property
    def loginid(self) -> str | None:
        """The account of a request that names none; None without one, and during a change."""
        if self.turn.locked():
            return None
        return self.identity.loginid or account_of(self.endpoint)

    def qualify(self, error: Exception) -> None:
        """Mark a rejected handshake whose URL was for one attempt only."""
        if isinstance(error, HandshakeRejected):
            error.one_time = account_of(self.endpoint) is not None

    async def prove(self, connection: Connection, session: Session) -> None:
        """Authorize *connection* if there is an account, and announce `Authorized`.

        Raises:
            ApiError: the server refuses.
            EndpointFailed: the token function is broken.

        """

        async def ask_now(request: Mapping[str, Any]) -> dict[str, Any]:
            urgency = Urgency.TRADE  # nothing can be sold before it
            call = api_call(request, only_on=connection.number, restores=True, urgency=urgency)
            session.queue.put_last([call])
            return await call.wait()

        account_id = account_of(self.endpoint)
        if account_id is not None:
            reply = await ask_now({"balance": 1})
            session.bus.announce(Authorized(_loginid(reply.get("balance")) or account_id))
        elif self.identity.token is not None:
            await self.authorize(self.identity.token, ask_now, session)

    async def authorize(self, token: TokenSource, ask_now: Ask, session: Session) -> dict[str, Any]:
        """Send `authorize` with *ask_now*, remember what was accepted, and return the reply.

        If the server finds the token of a token function invalid, the function is asked once more.
        """
        try:
            return await self._authorize(token, ask_now, session)
        except InvalidToken:
            if not callable(token):
                raise
        return await self._authorize(token, ask_now, session)

    async def _authorize(
        self, token: TokenSource, ask_now: Ask, session: Session
    ) -> dict[str, Any]:
        secrets = [await ask(token, "the token function")] if callable(token) else _listed(token)
        first, *others = secrets
        request = {"authorize": first} | ({"tokens": others} if others else {})
        reply = await ask_now(request)
        self.identity = Identity(token, _loginid(reply.get("authorize")), request)
        session.bus.announce(Authorized(self.identity.loginid or ""))
        return reply


def checked_token(token: TokenSource | None) -> TokenSource | None:
    """Return *token* if it is one.

    Raises:
        ValueError: it is not; the message does not show it.

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
    """Return *token* if it is one, and if *endpoint* takes one.

    Raises:
        ValueError: it is not, or *endpoint* takes none; the message does not show it.

    """
    if token is not None and speaks_options(endpoint):
        text = (
            "the Options API takes no token on its WebSocket: for an account give"
            " endpoint=derivtrio.OptionsAccount(account_id, app_id, token)"
        )
        raise ValueError(text)
    return checked_token(token)


def speaks_options(endpoint: Endpoint) -> bool:
    """Return whether a connection to *endpoint* keeps its account for good, if it has one."""
    return generation_of(endpoint) == "options"


def _loginid(account: Any) -> str | None:
    """Return the id of the account that the payload of a reply is about."""
    loginid = account.get("loginid") if isinstance(account, dict) else None
    return loginid if isinstance(loginid, str) else None


def _listed(token: TokenSource) -> list[str]:
    """Return the tokens in *token*, which is not a function."""
    return [token] if isinstance(token, str) else list(token or ())  # type: ignore[arg-type]
