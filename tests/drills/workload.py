"""What a client does all day: streams of every kind, calls, orders, lists, logins, a look around.

The tasks go on until they are cancelled. An error of `derivtrio.errors` ends one attempt, and the
next one begins; what else comes out of the client is a remark. So is what takes longer than
`PATIENCE`, a reply to another request, and a model whose values are not of its types.
"""

import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import attrs
import msgspec
import trio

from derivtrio import Client, DerivError, OutcomeUnknown, Purchase, Subscription
from derivtrio.simulator import Simulator

T = TypeVar("T")

#: How long a call or the begin of a stream may take, in seconds.
PATIENCE: Final = 200.0

#: For how many seconds one item of a stream is waited for.
_ITEM: Final = 30

#: How many rows of a list are read.
_ROWS: Final = 50

_CONTRACT: Final = {
    "contract_type": "CALL",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
}
RISE: Final = _CONTRACT | {"duration": 5, "duration_unit": "t"}
MULTIPLIER: Final = _CONTRACT | {"contract_type": "MULTUP", "multiplier": 100}

_CALLS: Final[tuple[dict[str, Any], ...]] = (
    *({name: 1} for name in ("time", "website_status", "balance", "portfolio", "asset_index")),
    {"active_symbols": "brief"},
    {"statement": 1, "limit": 10},
    {"profit_table": 1, "limit": 5},
    {"ticks_history": "R_100", "end": "latest", "count": 20},
    {"ticks_history": "R_50", "end": "latest", "count": 20, "style": "candles"},
    {"contracts_for": "R_100"},
    {"trading_times": "today"},
    {"proposal": 1} | RISE | {"symbol": "R_100"},
    {"forget_all": "ticks"},
)

#: What a client does, each by its own task.
_STREAMS: Final[dict[str, Callable[[Client, int], Subscription[Any]]]] = {
    "ticks": lambda client, _: client.ticks("R_100", overflow="drop_oldest"),
    "latest": lambda client, now: client.ticks("1HZ100V", start=now - 50, overflow="latest"),
    "market": lambda client, _: client.ticks("frxEURUSD", when_closed="wait"),
    "candles": lambda client, now: client.candles("R_50", 60, start=now - 3600),
    "balance": lambda client, _: client.balance(),
    "transactions": lambda client, _: client.transactions(),
    "contracts": lambda client, _: client.subscribe({"proposal_open_contract": 1}),
    "untyped": lambda client, _: client.subscribe(
        {"ticks": ["R_25", "R_75"]}, overflow="drop_oldest"
    ),
    "history": lambda client, _: client.subscribe(
        {"ticks_history": "R_10", "end": "latest", "count": 10, "style": "ticks"}
    ),
    "proposal": lambda client, _: client.proposal(RISE | {"symbol": "R_100"}),
}


class Findings(Protocol):
    """What was wrong, as `remarks`; `done` counts what has ended how."""

    remarks: list[str]
    done: Counter[str]


@attrs.define(eq=False)
class Workload:
    """The tasks of one client; what they find goes to *drill*."""

    client: Client
    sim: Simulator
    v3: bool
    chance: random.Random
    drill: Findings
    _number: int = attrs.field(default=0, init=False)

    def start(self, nursery: trio.Nursery) -> None:
        """Start all tasks."""
        for name, opened in _STREAMS.items():
            nursery.start_soon(self.again, name, 3, lambda opened=opened: self._listen(opened))
        for name, seconds, work in (
            ("call", 2, self.call),
            ("trade", 6, self._trade),
            ("trade", 6, self._trade),
            ("login", 40, self._login),
            ("lists", 20, self._lists),
            ("look", 2, self._look),
        ):
            nursery.start_soon(self.again, name, seconds, work)
        nursery.start_soon(self._events)

    async def again(self, name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* again and again, with pauses of up to so many *seconds*."""
        while True:
            await trio.sleep(self.chance.uniform(0, seconds))
            try:
                await work()
            except (DerivError, StopAsyncIteration) as error:
                self.drill.done[f"{name}: {type(error).__name__}"] += 1
            except trio.TooSlowError:
                self.drill.remarks.append(f"{name}: no end after {PATIENCE:.0f} s")
            except Exception as error:
                self.drill.remarks.append(f"{name}: {error!r}")
                raise
            else:
                self.drill.done[name] += 1

    async def decided(self, awaited: Awaitable[T]) -> T:
        """Return what is *awaited*; raise TooSlowError if that takes too long."""
        with trio.fail_after(PATIENCE):
            return self._checked(await awaited)

    def _checked(self, value: T) -> T:
        """Return *value*, after a look at it: what it shows, and the types of a model's values."""
        repr(value)
        if isinstance(value, msgspec.Struct):
            try:
                msgspec.convert(plain(value), type(value))
            except (msgspec.ValidationError, ValueError) as error:
                self.drill.remarks.append(f"{value!r} is not what it should be: {error}")
        return value

    async def _listen(self, opened: Callable[[Client, int], Subscription[Any]]) -> None:
        """Follow a stream for some of its items."""
        stream = opened(self.client, int(self.sim.now()))
        await self.decided(stream.__aenter__())
        try:
            for _ in range(self.chance.randint(1, 40)):
                with trio.move_on_after(_ITEM):
                    self._checked(await anext(stream))
                repr((stream, stream.gaps, stream.last_at, stream.id))
        finally:
            await stream.__aexit__(None, None, None)

    async def call(self) -> None:
        self._number += 1
        mark = {"number": self._number}
        request = self.chance.choice(_CALLS) | {"passthrough": mark}
        reply = await self.decided(self.client.call(request))
        echo = reply.get("echo_req")
        told = (echo if isinstance(echo, dict) else {}).get("passthrough", mark)
        if told != mark:
            self.drill.remarks.append(f"{request} has the reply to {told}")

    async def _trade(self) -> None:
        """Buy a contract, and do something with it; find out what became of a lost reply."""
        if self.chance.random() < 0.2:
            calls = ("buy", "sell", "statement", "proposal_open_contract")
            self.sim.faults.lose_after(self.chance.choice(calls))
        if self.chance.random() < 0.05:
            self.sim.faults.drop()
        try:
            await self._buy_and_sell()
        except OutcomeUnknown as unknown:
            with trio.move_on_after(PATIENCE):
                self._checked(await self.client.reconcile(unknown))

    async def _buy_and_sell(self) -> None:
        client, what = self.client, self.chance.choice((RISE, MULTIPLIER)) | {"symbol": "R_100"}
        if self.chance.random() < 0.4:
            async with client.proposal(what) as proposals:
                purchase = await self.decided(self._bought(proposals))
        else:
            purchase = await self.decided(client.buy(what, self.chance.choice((10, 50))))
        async with client.open_contract(purchase.contract_id) as contract:
            with trio.move_on_after(self.chance.uniform(0, 20)):
                async for state in contract:
                    self._checked(state)
        match self.chance.randrange(4):
            case 0 | 1:
                await self.decided(client.sell(purchase))
            case 2:
                profit = self.chance.choice((None, 5))
                await self.decided(
                    client.update_contract(purchase, stop_loss=3, take_profit=profit)
                )
            case _:
                await self.decided(client.cancel(purchase))

    async def _bought(self, proposals: Subscription[Any]) -> Purchase:
        return await self.client.buy(self._checked(await anext(proposals)))

    async def _login(self) -> None:
        match self.chance.randrange(4):
            case 0 if self.v3:
                await self.decided(self.client.authorize("demo-token"))
            case 1:
                await self.decided(self.client.reconnect())
            case _:
                async with self.client.same_connection():
                    await self.decided(self.client.call({"time": 1}))

    async def _lists(self) -> None:
        rows: AsyncIterator[Any]
        for rows in (self.client.statement(), self.client.profit_table()):
            for _ in range(_ROWS):
                self._checked(await self.decided(anext(rows)))

    async def _look(self) -> None:
        client = self.client
        repr((client, client.status, client.metrics, client.budgets, client.doubts))

    async def _events(self) -> None:
        async with self.client.events(buffer=100_000) as events:
            async for event in events:
                repr(event)


def plain(value: Any) -> Any:
    """Return the values of a model, and of those within, for a check of their types.

    Raises:
        ValueError: a number is not finite.

    """
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, float) and not math.isfinite(value):
        text = f"{value} is no number"
        raise ValueError(text)
    return value
