"""`open_simulator`: the simulator as its user sees it."""

import errno
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from copy import copy
from decimal import Decimal
from typing import Literal

import attrs
import trio

from derivtrio.simulator.accounts.account import Account, demo_account
from derivtrio.simulator.accounts.ledger import AccountLedger
from derivtrio.simulator.calls.notifications import notify, settle_and_notify
from derivtrio.simulator.faults.faults import Faults
from derivtrio.simulator.faults.schedule import ScheduledFault, parse_fault, play
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.network.handshake import PATH
from derivtrio.simulator.network.memory_stream import MemoryStream, open_pair
from derivtrio.simulator.server.acceptor import Acceptor, ServerSettings
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.server.connection import ServerConnection
from derivtrio.simulator.server.connection_record import ConnectionRecord
from derivtrio.simulator.server.rest_api import PUBLIC_PATH
from derivtrio.simulator.server.settlement import settle_contracts
from derivtrio.simulator.server.tcp_listener import listen
from derivtrio.simulator.sessions.rate_limits import RateLimiter, RateLimits
from derivtrio.simulator.sessions.session import Backend

_QUERY = "app_id=1089"
_NOWHERE = "simulator.invalid"


@attrs.define(eq=False)
class MemoryEndpoint:
    """Where to connect without a network: give it to a client in place of a URL.

    With an `account_id` connections are for that account of the Options API: `url` is what the REST
    call is over TCP.
    """

    _acceptor: Acceptor = attrs.field(repr=False)
    _handlers: trio.Nursery = attrs.field(repr=False)
    generation: Literal["v3", "options"] = "v3"
    account_id: str | None = None

    @property
    def limits(self) -> Literal["website_status", "documented"]:
        """How the rate limits of this generation are learnt."""
        return "website_status" if self.generation == "v3" else "documented"

    async def url(self) -> str:
        """Return a URL that stands for this endpoint; its host exists nowhere.

        Raises:
            RestRejected: there is none for this account, or none now.

        """
        if self.generation == "v3":
            return f"ws://{_NOWHERE}{PATH}?{_QUERY}"
        if self.account_id is None:
            return f"ws://{_NOWHERE}{PUBLIC_PATH}"
        return f"ws://{_NOWHERE}{await self._acceptor.rest_api.one_time_target(self.account_id)}"

    async def open_stream(self, host: str, port: int) -> MemoryStream:  # noqa: ARG002
        """Return a new connection to the simulator; *host* and *port* do not matter.

        Raises:
            ConnectionRefusedError: `faults.refuse` is in force, or the simulator has ended.

        """
        await trio.lowlevel.checkpoint()
        if self._acceptor.faults.refusing or self._handlers.cancel_scope.cancel_called:
            self._acceptor.attempts += 1
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        ours, theirs = open_pair()
        self._handlers.start_soon(self._acceptor.handle, ours)
        return theirs


@attrs.define(eq=False, repr=False)
class Simulator:
    """A running simulator; `open_simulator` makes it.

    *faults* is what can befall it. *endpoint* is its door for in-memory connections that speak v3;
    those for the Options API are `options_public` and `options_account`. Over TCP they are `url`
    and `options_url`, and `rest_url`, the `base` of an `OptionsAccount`.
    """

    _backend: Backend
    faults: Faults
    endpoint: MemoryEndpoint
    _clock: Clock
    _acceptor: Acceptor
    _address: str | None

    @property
    def url(self) -> str:
        """The WebSocket URL of the TCP side.

        Raises:
            RuntimeError: there is none, since `port=None` was asked for.

        """
        return f"{self._host_url('ws')}{PATH}?{_QUERY}"

    @property
    def options_url(self) -> str:
        """The URL of the Options API's public WebSocket on the same port.

        Raises:
            RuntimeError: there is none, since `port=None` was asked for.

        """
        return f"{self._host_url('ws')}{PUBLIC_PATH}"

    @property
    def rest_url(self) -> str:
        """The scheme, host and port of the REST API on the same port.

        Raises:
            RuntimeError: there is none, since `port=None` was asked for.

        """
        return self._host_url("http")

    @property
    def options_public(self) -> MemoryEndpoint:
        """The door for in-memory connections to the Options API's public WebSocket."""
        return attrs.evolve(self.endpoint, generation="options")

    def options_account(self, account_id: str | None = None) -> MemoryEndpoint:
        """Return the door for those of an account, by default of the first one."""
        account_id = account_id or next(iter(self.accounts))
        return attrs.evolve(self.endpoint, generation="options", account_id=account_id)

    @property
    def market(self) -> Market:
        """The prices: what a client should see can be computed from it."""
        return self._backend.market

    @property
    def accounts(self) -> dict[str, Account]:
        """The accounts by login id."""
        return self._backend.accounts

    @property
    def connections(self) -> list[ServerConnection]:
        """The connections that are being served, oldest first."""
        return list(self._acceptor.live.values())

    @property
    def history(self) -> list[ConnectionRecord]:
        """The last thousand connections that are over, in the order of their ends."""
        return list(self._acceptor.history)

    @property
    def accepted(self) -> int:
        """How many connections have been made, handshake included."""
        return self._acceptor.accepted

    @property
    def attempts(self) -> int:
        """How many connections were tried, those refused by the kernel not counted."""
        return self._acceptor.attempts

    @property
    def refused(self) -> dict[str, int]:
        """How many requests were refused for their rate, by call."""
        return dict(self._backend.rate_limiter.refused)

    @property
    def held(self) -> int:
        """How many byte streams are kept open and mute by a fault."""
        return len(self._acceptor.held)

    def now(self) -> float:
        """Return the epoch of the simulator, in seconds."""
        return self._clock.now()

    def deposit(self, loginid: str, amount: Decimal) -> None:
        """Change a balance, as a cashier would; whoever subscribed to it is told."""
        backend, epoch = self._backend, self._clock.epoch()
        settle_and_notify(backend, epoch)
        notify(backend, backend.broker.move(backend.broker.ledgers[loginid], amount, epoch), epoch)

    def ledger(self, loginid: str) -> AccountLedger:
        """Return the books of an account: what really happened, up to now."""
        settle_and_notify(self._backend, self._clock.epoch())
        return self._backend.broker.ledgers[loginid]

    def __repr__(self) -> str:
        """Return where it is, and how many connections it has and had."""
        where = "in memory" if self._address is None else self.url
        refusing = ", refusing" if self.faults.refusing else ""
        return (
            f"<Simulator {where}, seed {self.market.seed}: {len(self.connections)} live,"
            f" {self.accepted} accepted, {self.attempts} attempts{refusing}>"
        )

    def _host_url(self, scheme: str) -> str:
        if self._address is None:
            message = "this simulator has no TCP port: use its endpoint"
            raise RuntimeError(message)
        return f"{scheme}{'s' if self._acceptor.rest_api.secure else ''}://{self._address}"


@asynccontextmanager
async def open_simulator(
    seed: int = 1,
    *,
    host: str = "127.0.0.1",
    port: int | None = 0,
    ssl_context: ssl.SSLContext | None = None,
    start: float | None = None,
    accounts: Iterable[Account] | None = None,
    faults: Iterable[ScheduledFault | str] = (),
    limits: RateLimits | None = None,
    idle_timeout: float = 120,
    max_message_size: int = 256 * 1024,
) -> AsyncIterator[Simulator]:
    """Run a Deriv server for as long as the block lasts.

    It listens on *host*, a numeric address, and *port*: 0 picks a free one, `None` means in-memory
    connections only. With a server-side *ssl_context* TCP connections use TLS. Its epoch begins at
    *start*, by default now, and advances with trio's clock. *accounts* take the place of the demo
    account. *faults* happen at their times. With *limits* it refuses requests that exceed them. A
    connection without messages for *idle_timeout* seconds is closed, as Deriv does after two
    minutes; requests of more than *max_message_size* characters are not accepted.

    Leaving the block ends all connections at once, without a Close frame. An exception of the
    block's comes out as it is.

    Cancellation: as on leaving the block.

    Raises:
        OSError: the port cannot be had.
        ValueError: a fault is not understood.

    """
    schedule = [parse_fault(fault) if isinstance(fault, str) else fault for fault in faults]
    given = [demo_account()] if accounts is None else accounts
    by_loginid = {account.loginid: copy(account) for account in given}
    backend = Backend(seed, Market(seed), by_loginid, RateLimiter(limits, trio.current_time))
    clock = Clock(time.time() if start is None else start, trio.current_time())
    acceptor = Acceptor(backend, clock, ServerSettings(idle_timeout, max_message_size, ssl_context))
    async with acceptor.closing_held(), _open_crew() as crew:
        address = None
        if port is not None:
            port = await crew.start(listen, host, port, acceptor, crew)
            address = f"{f'[{host}]' if ':' in host else host}:{port}"
        endpoint = MemoryEndpoint(acceptor, crew)
        crew.start_soon(play, schedule, acceptor.faults)
        crew.start_soon(settle_contracts, backend, clock)
        yield Simulator(backend, acceptor.faults, endpoint, clock, acceptor, address)


@asynccontextmanager
async def _open_crew() -> AsyncIterator[trio.Nursery]:
    """Open a nursery whose tasks end with the block, and whose block raises what it raises.

    A nursery would wrap the exception of its block in a group, together with those of its tasks.
    """
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (raised below, outside the nursery)
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
