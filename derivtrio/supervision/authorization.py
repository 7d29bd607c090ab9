"""Which account the client acts for, and how each new connection learns it.

On v3 an `authorize` request tells the connection; its token is remembered for the next connection.
On the Options API a connection belongs to an account from its handshake on, and a request for the
balance proves that it does. Either way `Authorized` is announced when the server has named the
account.

An authorization can end while its socket lives: the token was revoked, or the server forgot it.
Then a call is refused, or a stream of the account ends. Before that is believed, the connection is
authorized anew, once, with a token that is asked for afresh (`reauthorize`). A connection of the
Options API cannot be authorized anew, so it is replaced by another one, with a new one-time URL.

Only `client.authorize` changes the account. If a token function returns a token of another one, the
connection is given up before anything else is asked on it, and the function is asked again. Calls
that wait would trade for the wrong account, and streams would go on with its data.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
import trio

from derivtrio.calls.call import Call, api_call
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.connection.endpoints import Endpoint, account_of, ask
from derivtrio.errors import (
    ApiError,
    ClientClosed,
    DerivError,
    EndpointFailed,
    HandshakeRejected,
    InvalidToken,
    LinkError,
)
from derivtrio.events import Authorized
from derivtrio.policy.rate_limits import Urgency
from derivtrio.policy.retry import is_unauthorized
from derivtrio.supervision.tokens import TokenSource, has_space, listed

Ask = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


@attrs.frozen(eq=False, repr=False)
class Identity:
    """The account that the client acts for.

    Attributes:
        token: authorizes the next connection; None on the Options API, and without an account.
        loginid: the account that the server named last; None without one.
        accepted: the `authorize` request that the server accepted last, with its tokens.

    """

    token: TokenSource | None
    loginid: str | None = None
    accepted: Mapping[str, Any] | None = None


@attrs.define(eq=False, repr=False)
class Authorization:
    """Makes every connection to *endpoint* act for the same account.

    Attributes:
        identity: that account.
        turn: a lock, held while the account is being changed.

    """

    endpoint: Endpoint
    identity: Identity
    turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _reauthorizing: bool = attrs.field(default=False, init=False)
    _reauthorized_mono: float = attrs.field(default=-math.inf, init=False)
    _refusal: Exception | None = attrs.field(default=None, init=False)

    def whose(self) -> str | None:
        """Return the account of a request that names none; None without, and during a change."""
        if self.turn.locked() and not self._reauthorizing:
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
        ask_now = _asking(connection, session)
        account_id = account_of(self.endpoint)
        if account_id is not None:
            reply = await ask_now({"balance": 1})
            session.bus.announce(Authorized(_loginid(reply.get("balance")) or account_id))
        elif self.identity.token is not None:
            await self._authorize_again(self.identity.token, connection, session)

    async def reauthorize(self, call: Call, error: Exception, *, session: Session) -> bool:
        """Authorize the present connection anew, because *call* has ended with *error*.

        Return whether *call* may be made once more. If not, the cause of *error* says why. Of many
        calls that were refused at the same time only the first has it done.
        """
        if self.identity.token is None and account_of(self.endpoint) is None:
            return False  # there is no account, so the server is right
        if self._is_for_another(call.request):
            return False
        async with self.turn:
            written = -math.inf if call.written_mono is None else call.written_mono
            if written > self._reauthorized_mono:
                self._reauthorizing = True
                try:
                    self._refusal = await self._reauthorize(session)
                finally:
                    self._reauthorizing = False
                self._reauthorized_mono = trio.current_time()
        if self._refusal is not None:
            error.__cause__ = self._refusal
        return self._refusal is None

    def _is_for_another(self, request: Mapping[str, Any]) -> bool:
        """Return whether *request* names another account than that of the only token."""
        loginid, accepted = request.get("loginid"), self.identity.accepted
        only = accepted is not None and "tokens" not in accepted
        return only and loginid not in (None, self.identity.loginid)

    async def _reauthorize(self, session: Session) -> Exception | None:
        """Authorize the present connection anew; return why it was refused, if it was."""
        connection, token = session.usable_connection, self.identity.token
        if connection is None:
            return None  # the next one is authorized anyway
        text = "the server no longer knows this session's account; authorizing anew"
        session.bus.log(logging.WARNING, text)
        ask_now = _asking(connection, session)
        try:
            if token is None:
                await ask_now({"balance": 1})
            else:
                await self._authorize_again(token, connection, session)
        except (ApiError, EndpointFailed, ClientClosed) as error:
            if token is None and is_unauthorized(error):
                text = "the server no longer takes this connection for the account"
                connection.lose(Disconnect("us", NORMAL, error=LinkError(text)))
                return None
            session.bus.log(logging.WARNING, "the account is not authorized anew: %s", error)
            return error
        except DerivError:
            return None  # the connection was lost meanwhile; the next one is authorized anyway
        return None

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

    async def _authorize_again(
        self, token: TokenSource, connection: Connection, session: Session
    ) -> None:
        """Authorize *connection* for the account that the client acts for already.

        Raises:
            LinkError: the token function has returned a token of another account.

        """
        before = self.identity
        await self.authorize(token, _asking(connection, session), session)
        known, found = before.loginid, self.identity.loginid
        if callable(token) and None not in (known, found) and known != found:
            self.identity = before
            text = (
                f"the token function returned a token of the account {found}, and this client acts"
                f" for {known}; client.authorize changes the account"
            )
            error = LinkError(text)
            connection.lose(Disconnect("us", NORMAL, error=error))
            raise error

    async def _authorize(
        self, token: TokenSource, ask_now: Ask, session: Session
    ) -> dict[str, Any]:
        secrets = [await ask(token, "the token function")] if callable(token) else listed(token)
        if callable(token) and has_space(secrets[0]):
            text = "the token function returned a token with white space in it: use strip()"
            raise EndpointFailed(text)
        first, *others = secrets
        request = {"authorize": first} | ({"tokens": others} if others else {})
        reply = await ask_now(request)
        self.identity = Identity(token, _loginid(reply.get("authorize")), request)
        session.bus.announce(Authorized(self.identity.loginid or ""))
        return reply


def _asking(connection: Connection, session: Session) -> Ask:
    """Return a function that makes a request on *connection* before all others."""

    async def ask_now(request: Mapping[str, Any]) -> dict[str, Any]:
        urgency = Urgency.TRADE  # nothing can be sold before it
        call = api_call(request, only_on=connection.number, restores=True, urgency=urgency)
        session.queue.put_last([call])
        return await call.wait()

    return ask_now


def _loginid(account: Any) -> str | None:
    """Return the id of the account that the payload of a reply is about."""
    loginid = account.get("loginid") if isinstance(account, dict) else None
    return loginid if isinstance(loginid, str) else None
