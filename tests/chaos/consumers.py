"""Consumers: tasks that follow a stream, fall behind, and leave at any moment."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from derivtrio import (
    ClientClosed,
    DerivError,
    MarketClosed,
    SlowConsumer,
    Subscription,
)
from tests.chaos.records import (
    Contracts,
    Plain,
    Record,
    Transactions,
    candles_record,
    gaps_of,
    ticks_record,
)
from tests.chaos.world import Beginning, World


@attrs.define(eq=False)
class Consumer:
    """One consumer of a stream of this *kind*; *words* are those of its step.

    *key* is what its stream is called at the server, where that is known: streams with the same key
    are one.
    """

    number: int
    kind: str
    words: tuple[str, ...]
    record: Record
    key: tuple[Any, ...] | None = None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, repr=False)
    stream: Subscription[Any] | None = None
    stalled_until: float = -math.inf
    stalls: int = 0
    last_at: float = -math.inf
    entered_at: float = math.inf
    over: bool = False
    error: DerivError | None = None

    @property
    def is_reading(self) -> bool:
        """Whether it takes what comes, at present."""
        return self.entered_at < math.inf and not self.over and self.stalled_until == -math.inf

    async def follow(self, world: World) -> None:
        """Follow the stream until it ends, or somebody makes this consumer leave."""
        begun = world.beginning()
        try:
            with self.scope:
                await self._read(world)
                self._ended_normally(world)
        except DerivError as error:
            self.error = error
            if text := self._why_not(error, begun, world):
                world.broken("G09", f"{self} ended with {error!r}: {text}")
        except (Exception, ExceptionGroup) as error:  # noqa: BLE001 - any other is a finding
            world.broken("G18", f"{self} ended with the foreign {error!r}", error)
        self.over = True
        world.note("over", self.number, self.record.count)
        self.judge(world)

    async def _read(self, world: World) -> None:
        async with OPEN[self.kind](world, self) as stream:
            self.stream, self.entered_at = stream, trio.current_time()
            world.note("entered", self.number)
            async for item in stream:
                self._note(item, world)
                if self.stalled_until > -math.inf:
                    await trio.sleep_until(self.stalled_until)
                    self.stalled_until = -math.inf

    def _note(self, item: Any, world: World) -> None:
        self.last_at = trio.current_time()
        world.figures[self.kind] += 1
        if text := self.record.note(item):
            world.broken("G05", f"{self}: {text}")
        epoch = getattr(item, "epoch", None)
        world.note(self.number, self.record.count, epoch)
        if epoch is not None and self.kind == "ticks":
            world.note_lateness(self.number, world.sim.now() - epoch, self.stalls)

    def _ended_normally(self, world: World) -> None:
        if not world.closing and self.kind not in ("contract", "proposal"):
            world.broken("G09", f"{self} ended without an error while the client lives")

    def _why_not(self, error: DerivError, begun: Beginning, world: World) -> str | None:
        """Return what is wrong about this end; None if it may be so."""
        match error:
            case SlowConsumer():
                return None if self.stalls else "it never fell behind"
            case MarketClosed() if self.kind in ("ticks", "candles"):
                recent = range(int(world.sim.now()) - 900, int(world.sim.now()) + 1, 60)
                is_open = all(world.sim.market.is_open(self.words[0], epoch) for epoch in recent)
                return "the market is open" if is_open else None
            case ClientClosed():
                return None if world.closing else "nobody has closed it"
        return world.why_not(error, begun)

    def judge(self, world: World) -> None:
        """Hold what was passed over against the gaps and what the overflow policy took."""
        dropped = 0 if self.stream is None else self.stream.dropped
        lost = self.record.passed_over(gaps_of(self.stream))
        if lost > dropped:
            text = f"{self}: {lost} passed over without a gap, {dropped} dropped"
            world.broken("G05", f"{text}: {getattr(self.record, 'missing', [])[:5]}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}:{':'.join(self.words)}"


def _ticks(world: World, consumer: Consumer) -> Subscription[Any]:
    symbol, back, buffer, overflow = consumer.words
    since = world.epoch_back(int(back))
    consumer.record = ticks_record(world.sim.market, symbol, since)
    policy: Any = overflow
    return world.client.ticks(symbol, start=since, buffer=int(buffer), overflow=policy)


def _candles(world: World, consumer: Consumer) -> Subscription[Any]:
    symbol, length, back, which = consumer.words
    since = world.epoch_back(int(back))
    consumer.record = candles_record(world.sim.market, symbol, int(length), since)
    return world.client.candles(symbol, int(length), start=since, closed_only=which == "closed")


def _balance(world: World, consumer: Consumer) -> Subscription[Any]:
    del consumer
    return world.client.balance()


def _transactions(world: World, consumer: Consumer) -> Subscription[Any]:
    consumer.record = Transactions(world.ledger)
    return world.client.transactions()


def _contract(world: World, consumer: Consumer) -> Subscription[Any]:
    contract_id = world.contract_of(int(consumer.words[0]))
    if contract_id is None:
        consumer.kind = "balance"  # there is no such contract
        return _balance(world, consumer)
    consumer.record = Contracts(contract_id=contract_id)
    return world.client.open_contract(contract_id)


def _contracts(world: World, consumer: Consumer) -> Subscription[Any]:
    del consumer
    return world.client.subscribe({"proposal_open_contract": 1})


def _proposal(world: World, consumer: Consumer) -> Subscription[Any]:
    symbol, amount = consumer.words
    return world.client.proposal(
        contract_type="CALL",
        symbol=symbol,
        currency="USD",
        basis="stake",
        amount=int(amount),
        duration=5,
        duration_unit="t",
    )


def _events(world: World, consumer: Consumer) -> Subscription[Any]:
    del consumer
    return world.client.events(traffic=True, overflow="drop_oldest")


#: How a stream of each kind is opened.
OPEN: Final[Mapping[str, Callable[[World, Consumer], Subscription[Any]]]] = {
    "ticks": _ticks,
    "candles": _candles,
    "balance": _balance,
    "transactions": _transactions,
    "contract": _contract,
    "contracts": _contracts,
    "proposal": _proposal,
    "traffic": _events,
}


def new_consumer(kind: str, words: tuple[str, ...]) -> Consumer:
    """Return the consumer that a step describes; its number is the first word."""
    number, *rest = words
    return Consumer(int(number), kind, tuple(rest), Plain(), _key(kind, rest))


def _key(kind: str, words: list[str]) -> tuple[Any, ...] | None:
    match kind:
        case "ticks":
            return "ticks", words[0]
        case "candles":
            return "candles", words[0], int(words[1])
        case _:
            return None
