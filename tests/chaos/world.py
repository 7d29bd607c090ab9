"""The world of one run: the simulator, the client, what was seen, and the first broken promise."""

import hashlib
from collections import Counter
from typing import Any, Final

import attrs
import trio

from derivtrio import (
    ApiError,
    Client,
    ConnectionLost,
    DerivError,
    RateLimited,
    ResponseTimeout,
    Settings,
    StreamFailed,
)
from derivtrio.api.limits import PROPOSALS
from derivtrio.simulator import Ledger, Simulator
from tests.chaos.known import known
from tests.chaos.schedule import Plan

#: How long after a calm's beginning everything has to be as if nothing had ever happened, in s.
SETTLED: Final = 130.0

#: How much later than its second a tick may come in a calm, and how long a call may take.
PROMPT: Final = 2.0

#: How many connections a request that only reads may lose.
LOSSES: Final = 3


@attrs.frozen
class Finding:
    """A promise that did not hold: its number, and what was seen."""

    promise: str
    text: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.text}"


@attrs.frozen
class Beginning:
    """When something was asked for, and how many connections there had been until then."""

    time: float
    accepted: int


@attrs.define(eq=False)
class World:
    """What the steps act on, and what is known of the run so far.

    The first finding ends the run, for what comes after it may be a consequence. *unsafe* counts
    the requests that change something as the server has received them.
    """

    plan: Plan
    sim: Simulator
    client: Client
    settings: Settings
    scope: trio.CancelScope
    strict: bool = False
    finding: Finding | None = None
    cause: BaseException | None = None
    closing: bool = False
    figures: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)
    codes: set[str] = attrs.field(factory=set)
    consumers: dict[int, Any] = attrs.field(factory=dict)
    requests: dict[int, Any] = attrs.field(factory=dict)
    orders: dict[int, Any] = attrs.field(factory=dict)
    sales: list[Any] = attrs.field(factory=list)
    unsafe: Counter[tuple[Any, ...]] = attrs.field(factory=Counter)
    events: Counter[str] = attrs.field(factory=Counter)
    attempts_at: list[float] = attrs.field(factory=list)
    tables: Counter[str] = attrs.field(factory=Counter)
    calm_since: float | None = None
    _digest: Any = attrs.field(factory=lambda: hashlib.blake2b(digest_size=8))

    @property
    def loginid(self) -> str:
        """The account that trades."""
        return next(iter(self.sim.accounts))

    @property
    def ledger(self) -> Ledger:
        """What really happened on the account."""
        return self.sim.ledger(self.loginid)

    @property
    def trace(self) -> str:
        """A hash of everything that has been seen, in order, with its times."""
        digest: str = self._digest.hexdigest()
        return digest

    @property
    def is_settled(self) -> bool:
        """Whether a calm has lasted long enough for everything to be repaired."""
        return self.calm_since is not None and trio.current_time() >= self.calm_since + SETTLED

    def beginning(self) -> Beginning:
        """Return what is to be remembered of a request's beginning."""
        return Beginning(trio.current_time(), self.sim.accepted)

    def note(self, *seen: object) -> None:
        """Add to the trace what has been seen now."""
        self._digest.update(f"{trio.current_time():.6f} {seen}\n".encode())

    def broken(self, promise: str, text: str, cause: BaseException | None = None) -> None:
        """Note that *promise* does not hold, and end the run, unless that is known already."""
        behind = None if self.strict else known(promise, text)
        if behind is not None:
            self.figures[f"known: {behind}"] += 1
        elif self.finding is None:
            self.finding, self.cause = Finding(promise, text), cause
            self.note("broken", promise)
            self.scope.cancel()

    def why_not(self, error: DerivError, since: Beginning) -> str | None:
        """Return what is wrong about *error*; None if what has happened *since* explains it."""
        if isinstance(error, ApiError) and error.code in self.codes:
            return None
        if isinstance(error, RateLimited) and self._asked_prices > PROPOSALS:
            return None
        if isinstance(error, ConnectionLost):
            lost = self.sim.accepted - since.accepted
            if isinstance(error, StreamFailed):  # others may have shared the stream before
                lost = max(lost, len({each.connection for each in error.history}) - 1)
            enough = lost >= LOSSES - 1 or self.closing
            return None if enough else f"only {lost} connections came since"
        if isinstance(error, ResponseTimeout):
            waited = trio.current_time() - since.time
            long = waited >= self.settings.response_timeout - 0.01
            return None if long else f"it has waited {waited:.1f} s"
        return "nothing explains it"

    @property
    def _asked_prices(self) -> int:
        """How many streams of prices are open or asked for. Some may be one and the same."""
        streams = sum(each.kind == "proposal" and not each.over for each in self.consumers.values())
        orders = (each.words for each in self.requests.values() if each.kind == "buy")
        return streams + sum(words[-1].startswith("proposal") for words in orders)

    def epoch_back(self, seconds: int) -> int | None:
        """Return the epoch so many *seconds* ago; None for 0."""
        return int(self.sim.now()) - seconds if seconds else None

    def contract_of(self, order: int) -> int | None:
        """Return the contract that an order has bought, if that is known."""
        known = self.orders.get(order)
        number: int | None = None if known is None else known.contract_id
        return number

    def note_lateness(self, number: int, late: float, stalls: int) -> None:
        """G07: judge a tick by when it comes, where nothing but a stuck neighbour can delay it."""
        if self.is_settled and late > PROMPT and not stalls and not self.closing:
            self.broken("G07", f"consumer {number} got a tick {late:.1f} s late in a calm")
