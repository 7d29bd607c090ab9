"""The state of the server: of each connection, and of all of them together.

A `ServerSession` has the logins, streams and proposals of one connection. All sessions share one
`Backend`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from derivtrio.simulator.accounts.account import Account
from derivtrio.simulator.accounts.broker import Broker
from derivtrio.simulator.accounts.ledger import AccountLedger
from derivtrio.simulator.accounts.one_time_passwords import OneTimePasswords
from derivtrio.simulator.contracts.orders import ContractOrder
from derivtrio.simulator.dialects.dialect import V3, Dialect
from derivtrio.simulator.faults.malformations import Malformations
from derivtrio.simulator.faults.request_faults import RequestFaults
from derivtrio.simulator.faults.stream_mutes import StreamMutes
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.protocol.envelope import Refusal
from derivtrio.simulator.sessions.rate_limits import RateLimiter
from derivtrio.simulator.sessions.streams import SessionStreams

#: The kinds of streams about an account; they end with the login.
ACCOUNT_STREAMS = ("balance", "proposal_open_contract", "transaction")


@attrs.frozen
class Backend:
    """What all connections share.

    *accounts* are by login id. *sessions* are those of the live connections, by number.
    """

    seed: int
    market: Market
    accounts: dict[str, Account]
    rate_limiter: RateLimiter = attrs.field(factory=RateLimiter)
    one_time_passwords: OneTimePasswords = attrs.field(init=False)
    broker: Broker = attrs.field(init=False)
    sessions: "dict[int, ServerSession]" = attrs.field(factory=dict, init=False, repr=False)
    request_faults: RequestFaults = attrs.field(factory=RequestFaults, init=False)
    stream_mutes: StreamMutes = attrs.field(factory=StreamMutes, init=False)
    malformations: Malformations = attrs.field(factory=Malformations, init=False)

    @broker.default
    def _broker(self) -> Broker:
        ledgers = {loginid: AccountLedger(account) for loginid, account in self.accounts.items()}
        return Broker(self.market, ledgers)

    @one_time_passwords.default
    def _one_time_passwords(self) -> OneTimePasswords:
        return OneTimePasswords(self.seed)


@attrs.frozen
class Login:
    """An account, and the scopes of the token that was used."""

    account: Account
    scopes: frozenset[str]


@attrs.define(eq=False)
class ServerSession:
    """The state of the connection with this *number*; it ends with the connection.

    *dialect* is the generation of the API that the client speaks.
    """

    backend: Backend
    number: int
    dialect: Dialect = V3
    logins: dict[str, Login] = attrs.field(factory=dict, init=False)
    streams: SessionStreams = attrs.field(init=False)
    #: The proposals that were not bought yet, by id, with the last epoch at which they are valid;
    #: `None` means as long as the stream with the same id.
    proposals: dict[str, tuple[ContractOrder, int | None]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        # The seed and the number make subscription ids unique, and the same in every run.
        identity = f"{self.backend.seed}/{self.number}"
        self.streams = SessionStreams(identity, self.backend.market, self.backend.stream_mutes)

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Be among the sessions of the backend during the block."""
        self.backend.sessions[self.number] = self
        try:
            yield
        finally:
            del self.backend.sessions[self.number]

    def login(self, loginid: str | None = None) -> Login:
        """Return the login for *loginid*, or the one that `authorize` named first.

        Raises:
            Refusal: there is no such login (`AuthorizationRequired`).

        """
        chosen = loginid or next(iter(self.logins), None)
        if chosen not in self.logins:
            raise Refusal(code="AuthorizationRequired", message="Please log in.")
        return self.logins[chosen]

    @property
    def speaks_v3(self) -> bool:
        """Whether the client speaks v3, and not the Options API."""
        return self.dialect is V3

    def charge(self, name: str) -> None:
        """Count a request for the call *name*; raise the `Refusal` if it exceeds a limit."""
        loginid, options = next(iter(self.logins), None), not self.speaks_v3
        self.backend.rate_limiter.charge(name, self.number, loginid, options=options)

    def require(self, scopes: tuple[str, ...], loginid: Any) -> None:
        """Raise the `Refusal` unless *scopes* is empty or the login has one of them."""
        if scopes and not self.login(loginid).scopes.intersection(scopes):
            text = f"Permission denied, requires {', '.join(scopes)} scope(s)."
            raise Refusal(code="PermissionDenied", message=text)
