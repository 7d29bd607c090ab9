"""What the other clients of this process know about the trades of an account.

Many programs open a new client for each trade. The next client would take its predecessor's
contract for its own, if an equal order of its own were lost: both were asked for by this program,
within seconds, and Deriv takes no order number. So what a client knows of its trades is kept here,
also when the client has ended.

An account is a server and a login id, because the accounts of two simulators have the same ids.
Little is kept: the newest trades of each account, the newest accounts, the newest servers.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import attrs
import trio

from derivtrio.calls.call import Call
from derivtrio.errors import OutcomeUnknown
from derivtrio.models import Money
from derivtrio.policy.newest import shorten

#: How many are kept: trades of an account, accounts of a server, servers.
_MOST_TRADES: Final = 1000
_MOST_ACCOUNTS: Final = 32
_MOST_SERVERS: Final = 32


class Author(NamedTuple):
    """Which order is behind something: one of a client, by its `req_id`, and when it was written.

    `client` is any object that stands for the client; it is compared by identity.
    """

    client: object
    req_id: int
    written_wall: float


class ForeignDoubt(NamedTuple):
    """A purchase in doubt of another client.

    `written_mono` is on the clock of *run*, a run of trio.
    """

    author: Author
    parameters: Mapping[str, Any] | None
    price: Money | None
    run: object
    written_mono: float | None


@attrs.define(eq=False, repr=False)
class AccountTrades:
    """The trades of one account.

    Attributes:
        known: by what was done to which contract: the order that is behind it.
        doubts: the purchases in doubt, oldest first.

    """

    known: dict[tuple[str, int], Author] = attrs.field(factory=dict)
    doubts: dict[Author, ForeignDoubt] = attrs.field(factory=dict)


#: The trades of the accounts at one server, by login id.
ServerTrades = dict[str, AccountTrades]


@attrs.define(eq=False, repr=False)
class OtherClients:
    """The other clients at the same server, as one client sees them; and what it tells them."""

    _server: ServerTrades = attrs.field(factory=dict)
    _self: object = attrs.field(factory=object, init=False)

    def know(self, action: str, contract_id: int, call: Call) -> None:
        """Tell that *call* has bought, or sold, the contract."""
        if (account := self._account_of(call)) is not None:
            account.known.setdefault((action, contract_id), self._author(call))
            shorten(account.known, _MOST_TRADES)

    def doubt(self, call: Call) -> None:
        """Tell that *call* is in doubt."""
        if call.name == "buy" and (account := self._account_of(call)) is not None:
            run, author = trio.lowlevel.current_trio_token(), self._author(call)
            price = call.request.get("price")
            account.doubts[author] = ForeignDoubt(author, call.terms, price, run, call.written_mono)
            shorten(account.doubts, _MOST_TRADES)

    def resolve(self, unknown: OutcomeUnknown, call: Call | None) -> None:
        """Tell that *unknown* has been decided; *call* made the trade, if that is still known."""
        if (account := self._account_of(call or unknown)) is None:
            return
        doubts = account.doubts
        if call is not None:  # others may have been written in the same moment of a coarse clock
            doubts.pop(self._author(call), None)
            return
        for author in [a for a in doubts if a.written_wall == unknown.written_at]:
            del doubts[author]

    def have_done(self, action: str, contract_id: int, other_than: Call) -> bool:
        """Return whether another order than this one is known to have bought, or sold, it."""
        account = self._account_of(other_than)
        author = None if account is None else account.known.get((action, contract_id))
        return author is not None and author != self._author(other_than)

    def doubts(self, call: Call) -> list[ForeignDoubt]:
        """Return the other clients' purchases in doubt, for the account of *call*."""
        account = self._account_of(call)
        doubts = [] if account is None else list(account.doubts.values())
        return [each for each in doubts if each.author.client is not self._self]

    def _author(self, call: Call) -> Author:
        return Author(self._self, call.req_id, call.written_wall)

    def _account_of(self, trade: Call | OutcomeUnknown) -> AccountTrades | None:
        loginid = trade.loginid
        if not isinstance(loginid, str):
            return None
        account = self._server.pop(loginid, None) or AccountTrades()
        self._server[loginid] = account  # now the newest
        shorten(self._server, _MOST_ACCOUNTS)
        return account


_BY_URL: Final[dict[str, ServerTrades]] = {}
_BY_ENDPOINT: Final[WeakKeyDictionary[Any, ServerTrades]] = WeakKeyDictionary()


def other_clients(endpoint: object) -> OtherClients:
    """Return the other clients at the server of *endpoint*.

    The server is known by the `base` of the endpoint, or else by the endpoint itself.
    """
    base = getattr(endpoint, "base", None)
    if isinstance(base, str):
        server = _BY_URL.setdefault(base.partition("?")[0], {})
        shorten(_BY_URL, _MOST_SERVERS)
        return OtherClients(server)
    try:
        return OtherClients(_BY_ENDPOINT.setdefault(endpoint, {}))
    except TypeError:  # it cannot be a key: then its clients know nothing of each other
        return OtherClients()
