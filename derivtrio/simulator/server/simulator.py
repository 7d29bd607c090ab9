"""`open_simulator` and `Simulator`: what a user of the simulator sees."""

import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from decimal import Decimal
from fractions import Fraction

import attrs
import trio

from derivtrio.models import LAST_EPOCH
from derivtrio.simulator.accounts.account import Account, demo_account
from derivtrio.simulator.accounts.ledger import AccountLedger
from derivtrio.simulator.calls.notifications import notify, settle_and_notify
from derivtrio.simulator.faults import checks
from derivtrio.simulator.faults.faults import Faults
from derivtrio.simulator.faults.schedule import ScheduledFault, parse_fault, play
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.server.acceptor import Acceptor, ServerSettings
from derivtrio.simulator.server.admission import PUBLIC_PATH, V3_PATH, V3_QUERY
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.server.connection import ServerConnection
from derivtrio.simulator.server.connection_record import ConnectionRecord
from derivtrio.simulator.server.memory_endpoint import MemoryEndpoint
from derivtrio.simulator.server.settlement import settle_contracts
from derivtrio.simulator.server.tcp_listener import listen
from derivtrio.simulator.sessions.rate_limits import RateLimiter, RateLimits
from derivtrio.simulator.sessions.session import Backend


@attrs.define(eq=False, repr=False)
class Simulator:
    """A running simulator; `open_simulator` makes it.

    *faults* has the methods that make something go wrong. *endpoint* is for in-memory connections
    to v3; `options_public` and `options_account` are those of the Options API. Over TCP there are
    `url` and `options_url`, and `rest_url`, which is the `base` of an `OptionsAccount`.
    """

    _backend: Backend
    faults: Faults
    endpoint: MemoryEndpoint
    _clock: Clock
    _acceptor: Acceptor
    _address: str | None

    @property
    def url(self) -> str:
        """The WebSocket URL of v3 over TCP.

        Raises:
            RuntimeError: there is no TCP port (`port=None`).

        """
        return f"{self._host_url('ws')}{V3_PATH}?{V3_QUERY}"

    @property
    def options_url(self) -> str:
        """The URL of the Options API's public WebSocket on the same port.

        Raises:
            RuntimeError: there is no TCP port (`port=None`).

        """
        return f"{self._host_url('ws')}{PUBLIC_PATH}"

    @property
    def rest_url(self) -> str:
        """The scheme, host and port of the REST API on the same port.

        Raises:
            RuntimeError: there is no TCP port (`port=None`).

        """
        return self._host_url("http")

    @property
    def options_public(self) -> MemoryEndpoint:
        """The endpoint for in-memory connections to the Options API's public WebSocket."""
        return attrs.evolve(self.endpoint, generation="options")

    def options_account(self, account_id: str | None = None) -> MemoryEndpoint:
        """Return the endpoint for an account of the Options API, by default the first one."""
        account_id = account_id or next(iter(self.accounts))
        return attrs.evolve(self.endpoint, generation="options", account_id=account_id)

    @property
    def market(self) -> Market:
        """The prices; from them a test can compute what a client should see."""
        return self._backend.market

    @property
    def accounts(self) -> dict[str, Account]:
        """The accounts by login id."""
        return self._backend.accounts

    @property
    def connections(self) -> list[ServerConnection]:
        """The live connections, oldest first."""
        return list(self._acceptor.live.values())

    @property
    def history(self) -> list[ConnectionRecord]:
        """The last thousand closed connections, in the order of their ends."""
        return list(self._acceptor.history)

    @property
    def accepted(self) -> int:
        """How many handshakes have succeeded."""
        return self._acceptor.accepted

    @property
    def attempts(self) -> int:
        """How many connections were attempted, except those that the kernel refused."""
        return self._acceptor.attempts

    @property
    def refused(self) -> dict[str, int]:
        """How many requests exceeded a rate limit, by call."""
        return dict(self._backend.rate_limiter.refused)

    @property
    def held(self) -> int:
        """How many byte streams a fault keeps open and silent."""
        return len(self._acceptor.held)

    def now(self) -> float:
        """Return the simulator's epoch, in seconds."""
        return self._clock.now()

    def deposit(self, loginid: str, amount: Decimal) -> None:
        """Deposit *amount*, or withdraw it if negative; subscribers get a message."""
        backend, epoch = self._backend, self._clock.epoch()
        settle_and_notify(backend, epoch)
        notify(backend, backend.broker.move(backend.broker.ledgers[loginid], amount, epoch), epoch)

    def ledger(self, loginid: str) -> AccountLedger:
        """Return the ledger of an account, settled up to now: what really happened."""
        settle_and_notify(self._backend, self._clock.epoch())
        return self._backend.broker.ledgers[loginid]

    def __repr__(self) -> str:
        """Return its address and the numbers of its connections."""
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
    ticks_per_second: Mapping[str, int | Fraction] | None = None,
    idle_timeout: float = 120,
    max_message_size: int = 256 * 1024,
) -> AsyncIterator[Simulator]:
    """Run a Deriv server during the block.

    It listens on *host*, a numeric address, and *port*: 0 means any free port, `None` means
    in-memory connections only. With a server-side *ssl_context* TCP connections use TLS. The epoch
    begins at *start*, by default now, and advances with trio's clock. *accounts* replace the demo
    account. *faults* happen at their times. With *limits* it refuses requests that exceed them.
    *ticks_per_second* gives symbols several ticks with one epoch (see `Market`); they are sent
    together, in order, and `ticks_history` has a row for each. A connection without messages for
    *idle_timeout* seconds is closed, as Deriv does after two minutes. A request of more than
    *max_message_size* characters ends its connection.

    At the end of the block all connections end at once, without a Close frame. The block's own
    exception is raised as it is, not in a group.

    *Cancellation*: the same as the end of the block.

    Raises:
        OSError: the port is not available.
        ValueError: the text of a fault is not valid, *ticks_per_second* are not, or a number is not
            one of its kind.

    """
    if port is not None:
        checks.port(port)
    if start is not None:
        in_range = 0 <= checks.finite(start) <= LAST_EPOCH
        checks.require(in_range, f"start is an epoch in seconds, not {start!r}")
    checks.positive_seconds(checks.finite(idle_timeout))
    checks.count(max_message_size)
    schedule = [parse_fault(fault) if isinstance(fault, str) else fault for fault in faults]
    given = [demo_account()] if accounts is None else accounts
    by_loginid = {account.loginid: copy(account) for account in given}
    market = Market(seed, ticks_per_second or {})
    backend = Backend(seed, market, by_loginid, RateLimiter(limits, trio.current_time))
    clock = Clock(time.time() if start is None else start, trio.current_time())
    acceptor = Acceptor(backend, clock, ServerSettings(idle_timeout, max_message_size, ssl_context))
    async with acceptor.closing_held(), _open_tasks() as tasks:
        address = None
        if port is not None:
            port = await tasks.start(listen, host, port, acceptor, tasks)
            address = f"{f'[{host}]' if ':' in host else host}:{port}"
        endpoint = MemoryEndpoint(acceptor, tasks)
        tasks.start_soon(play, schedule, acceptor.faults)
        tasks.start_soon(settle_contracts, backend, clock)
        yield Simulator(backend, acceptor.faults, endpoint, clock, acceptor, address)


@asynccontextmanager
async def _open_tasks() -> AsyncIterator[trio.Nursery]:
    """Open a nursery whose tasks are cancelled at the end of the block.

    A nursery wraps an exception of its block in a group. So the exception is caught inside, and
    raised again outside, where the user sees it as it was.
    """
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except trio.Cancelled:
            # It belongs to a scope outside; only the nursery may let it through.
            raise
        except BaseException as error:  # noqa: BLE001  (raised below, outside the nursery)
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
