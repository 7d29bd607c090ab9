"""Requests: calls, guarded blocks, purchases and sales, each of which must end decided."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Literal

import attrs
import trio

from derivtrio import (
    Ambiguous,
    ApiError,
    Bought,
    ClientClosed,
    ConnectionChanged,
    ConnectionLost,
    DerivError,
    NotExecuted,
    Outcome,
    OutcomeUnknown,
    ResponseTimeout,
    Sold,
)
from tests.chaos.world import Beginning, World

Report = Literal["done", "refused", "not done", "not sent", "unknown", "ambiguous"]

#: Reports with which it is open whether the server has executed the request.
OPEN: Final = frozenset(("unknown", "ambiguous", None))

#: Contracts without a duration; they can be sold.
_MULTIPLIERS: Final = ("MULTUP", "MULTDOWN")


@attrs.define(eq=False)
class Request:
    """A task that asks the client for something; *begun* is on trio's clock."""

    number: int
    kind: str
    words: tuple[str, ...]
    begun: float
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, repr=False)
    over: bool = False
    report: Report | None = None
    how: str = ""
    contract_id: int | None = None
    unknown: OutcomeUnknown | None = attrs.field(default=None, repr=False)

    @property
    def stake(self) -> Decimal:
        """What tells a purchase from all others: its stake is made of its number."""
        return stake_of(int(self.words[0]))

    @property
    def limit(self) -> Decimal:
        """What a purchase may cost; it tells one twin from the other."""
        return self.stake + self.number % 2

    async def run(self, world: World) -> None:
        """Do it, and note how it ended: decided, in one of the documented ways."""
        begun = world.beginning()
        try:
            with self.scope:
                await RUN[self.kind](self, world)
        except DerivError as error:
            self._failed(error, begun, world)
        except (Exception, ExceptionGroup) as error:  # noqa: BLE001 - any other is a finding
            world.broken("G18", f"{self} ended with the foreign {error!r}", error)
        else:
            if self.scope.cancelled_caught:
                self._cancelled(world)
        self.over = True
        world.requests.pop(self.number, None)
        world.figures[f"{self.kind} {self.report}"] += 1
        world.note("decided", self.kind, self.number, self.report, self.contract_id)

    def _failed(self, error: DerivError, begun: Beginning, world: World) -> None:
        self.how = repr(error)
        match error:
            case OutcomeUnknown():
                self.report, self.unknown = "unknown", error
                if self.kind not in TRADES:
                    world.broken("G03", f"{self}, which only reads, ended in {error!r}")
            case NotExecuted():
                self.report = "not done"
            case ClientClosed():
                self.report = "not sent"
                if not world.closing:
                    world.broken("G03", f"{self} ended in {error!r}, but nobody has closed it")
            case ConnectionChanged():
                self.report = "refused"
            case ConnectionLost() | ResponseTimeout():
                self.report = "not sent"
                if text := world.why_not(error, begun):
                    world.broken("G03", f"{self} ended in {error!r}: {text}")
            case ApiError():
                self.report = "refused"
                if self.kind not in TRADES and (text := world.why_not(error, begun)):
                    world.broken("G03", f"{self} ended in {error!r}: {text}")
            case _:
                world.broken("G03", f"{self} ended in {error!r}")

    def _cancelled(self, world: World) -> None:
        """Find the doubt that a cancelled trade has left; without one it was never written."""
        self.report, self.how = "not sent", "cancelled"
        taken = [each.unknown for each in (*world.orders.values(), *world.sales)]
        for doubt in world.client.doubts:
            if self._is_about(doubt) and doubt not in taken:
                self.report, self.unknown = "unknown", doubt

    def _is_about(self, doubt: OutcomeUnknown) -> bool:
        if doubt.written_on is not None and doubt.written_on < self.begun:
            return False
        if self.kind == "sell":
            return doubt.request.get("sell") == self.contract_id is not None
        if self.kind != "buy" or "buy" not in doubt.request:
            return False
        amount = Decimal(str((doubt.parameters or {}).get("amount", 0)))
        return amount == self.stake and Decimal(str(doubt.request["price"])) == self.limit

    def cleared_up(self, outcome: Outcome) -> None:
        """Note what `reconcile` has found out."""
        self.how = outcome.how
        match outcome:
            case Bought(purchase=purchase):
                self.report, self.contract_id = "done", purchase.contract_id
            case Sold():
                self.report = "done"
            case Ambiguous():
                self.report = "ambiguous"
            case _:
                self.report = "not done"

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}:{':'.join(self.words)}"


def stake_of(number: int) -> Decimal:
    """Return a stake that no other purchase has."""
    return Decimal(100 + number) / 100


async def _call(request: Request, world: World) -> None:
    """Make a call that only reads; the reply must be to this request, and to no other."""
    name, count = request.words
    asked = {**READS[name], **({"count": int(count)} if name == "ticks_history" else {})}
    if name in ("statement", "profit_table"):
        asked["limit"] = int(count)
    reply = await world.client.call(asked)
    request.report = "done"
    echo = {key: value for key, value in reply["echo_req"].items() if key != "req_id"}
    if any(echo.get(key) != value for key, value in asked.items()):
        world.broken("G03", f"{request} asked {asked} and got the reply to {echo}")
    if name == "ticks_history" and len(reply["history"]["times"]) != int(count):
        world.broken("G03", f"{request} got {len(reply['history']['times'])} ticks")


async def _guard(request: Request, world: World) -> None:
    """Be in a block that must be on one connection; it is cancelled if that is replaced."""
    (seconds,) = request.words
    async with world.client.same_connection():
        number = world.client.status.connection
        await trio.sleep(float(seconds))
        if world.client.status.connection != number:
            world.broken("G12", f"{request} went on after connection {number}")
    request.report = "done"


async def _wait_ready(request: Request, world: World) -> None:
    await world.client.wait_ready()
    request.report = "done"


async def _portfolio(request: Request, world: World) -> None:
    await world.client.portfolio()
    request.report = "done"


async def _buy(request: Request, world: World) -> None:
    """Buy by parameters or by a proposal, with or without looking up a lost reply."""
    _, kind, symbol, how = request.words
    timed = {"duration": 5, "duration_unit": "t"}
    parameters: dict[str, Any] = {
        "contract_type": kind,
        "symbol": symbol,
        "currency": "USD",
        "basis": "stake",
        "amount": float(request.stake),
        **({"multiplier": 10 if symbol == "R_10" else 100} if kind in _MULTIPLIERS else timed),
    }
    reconcile = how.endswith("reconcile")
    if how.startswith("proposal"):
        async with world.client.proposal(parameters) as prices:
            proposal = await anext(prices, None)
            if proposal is None:  # a stream ends normally when its client is closed
                request.report = "not sent"
                if not world.closing:
                    world.broken("G09", f"{request}: its prices ended while the client lives")
                return
            purchase = await world.client.buy(proposal, request.limit, reconcile=reconcile)
    else:
        purchase = await world.client.buy(parameters, request.limit, reconcile=reconcile)
    request.report, request.contract_id = "done", purchase.contract_id


async def _sell(request: Request, world: World) -> None:
    """Sell what an earlier order has bought, if it has."""
    order, how = request.words
    request.contract_id = world.contract_of(int(order))
    if request.contract_id is None:
        request.report = "not sent"
        return
    world.sales.append(request)
    await world.client.sell(request.contract_id, reconcile=how == "reconcile")
    request.report = "done"


async def _reconnect(request: Request, world: World) -> None:
    client: Any = world.client
    await client.reconnect()
    request.report = "done"


#: The requests that a `call` makes, by name.
READS: Final[Mapping[str, Mapping[str, Any]]] = {
    "time": {"time": 1},
    "ping": {"ping": 1},
    "ticks_history": {"ticks_history": "R_25", "end": "latest", "style": "ticks"},
    "statement": {"statement": 1},
    "profit_table": {"profit_table": 1},
    "active_symbols": {"active_symbols": "brief"},
    "balance": {"balance": 1},
}

#: The kinds of requests that change something.
TRADES: Final = ("buy", "sell")

#: What a request of each kind does.
RUN: Final[Mapping[str, Callable[[Request, World], Any]]] = {
    "call": _call,
    "guard": _guard,
    "wait": _wait_ready,
    "portfolio": _portfolio,
    "buy": _buy,
    "sell": _sell,
    "reconnect": _reconnect,
}
