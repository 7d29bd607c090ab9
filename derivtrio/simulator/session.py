"""What the server knows about one connection: who is logged in, and what is being streamed."""

from typing import Any

import attrs

from derivtrio.simulator.accounts import Account
from derivtrio.simulator.budgets import Budgets
from derivtrio.simulator.envelope import Refusal
from derivtrio.simulator.market import Market
from derivtrio.simulator.subscriptions import Subscriptions


@attrs.frozen
class World:
    """What all connections share: the market, the accounts by login id, the rate limits."""

    seed: int
    market: Market
    accounts: dict[str, Account]
    budgets: Budgets = attrs.field(factory=Budgets)


@attrs.frozen
class Login:
    """An account as one token opens it."""

    account: Account
    scopes: frozenset[str]


@attrs.define(eq=False)
class Session:
    """The state of the connection with this *number*; all of it goes when the socket goes."""

    world: World
    number: int
    logins: dict[str, Login] = attrs.field(factory=dict, init=False)
    subscriptions: Subscriptions = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.subscriptions = Subscriptions(f"{self.world.seed}/{self.number}", self.world.market)

    def login(self, loginid: str | None = None) -> Login:
        """Return the login for *loginid*, or the one that `authorize` named first.

        Raises:
            Refusal: nobody is logged in (`AuthorizationRequired`).

        """
        chosen = loginid or next(iter(self.logins), None)
        if chosen not in self.logins:
            raise Refusal(code="AuthorizationRequired", message="Please log in.")
        return self.logins[chosen]

    def charge(self, name: str) -> None:
        """Count a request for the call *name*; raise the `Refusal` if it is one too many."""
        self.world.budgets.charge(name, self.number, next(iter(self.logins), None))

    def require(self, scopes: tuple[str, ...], loginid: Any) -> None:
        """Raise the `Refusal` unless the login has one of *scopes*; none are always had."""
        if scopes and not self.login(loginid).scopes.intersection(scopes):
            text = f"Permission denied, requires {', '.join(scopes)} scope(s)."
            raise Refusal(code="PermissionDenied", message=text)
