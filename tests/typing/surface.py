"""The public surface as a type checker sees it: `mypy --strict` must accept this file.

It is not run. Each `type: ignore` is an assertion, too: mypy reports those that are not needed.
"""

from decimal import Decimal
from typing import Any, assert_type

import derivtrio
import derivtrio.connection.endpoints
from derivtrio import events
from derivtrio.simulator import open_simulator


class OneTime:
    """An endpoint of the user's own needs no base class."""

    generation: derivtrio.connection.endpoints.Generation = "options"
    limits: derivtrio.connection.endpoints.LimitsSource = "documented"

    async def url(self) -> str:
        return "wss://example.org/ws?otp=once"


class Derived(derivtrio.Endpoint):
    """Or it may derive from the protocol, and take its defaults."""

    async def url(self) -> str:
        return "wss://example.org/"


async def token() -> str:
    return "a token"


async def opening() -> None:
    settings = derivtrio.Settings(
        heartbeat_interval=20, backoff=derivtrio.Backoff(cap=30), max_attempts=3
    )
    async with derivtrio.open_client() as client:
        assert_type(client, derivtrio.Client)
    async with derivtrio.open_client("abc", endpoint=OneTime(), token=token, settings=settings):
        pass
    async with derivtrio.open_client(1089, endpoint=Derived(), token="t"):
        pass
    async with derivtrio.open_client(endpoint=derivtrio.V3(1089, "ES")):
        pass
    async with derivtrio.open_client(token=["one", "two"]) as client:
        assert_type(await client.authorize(token), dict[str, Any])
        await client.logout()
    async with derivtrio.open_client(endpoint=derivtrio.OptionsPublic()):
        pass
    account = derivtrio.OptionsAccount("DOT1", 1089, token, base="https://example.org")
    async with derivtrio.open_client(endpoint=account):
        assert_type(await account.url(), str)
    derivtrio.OptionsAccount("DOT1", 1089)  # type: ignore[call-arg]
    async with open_simulator() as sim, derivtrio.open_client(endpoint=sim.endpoint):
        pass
    async with open_simulator() as sim, derivtrio.open_client(endpoint=sim.options_account()):
        pass
    derivtrio.open_client(endpoint=5)  # type: ignore[arg-type]
    derivtrio.open_client(token=lambda: "t")  # type: ignore[arg-type]
    derivtrio.Settings(hartbeat_interval=20)  # type: ignore[call-arg]


async def streaming(client: derivtrio.Client) -> None:
    async with client.ticks("R_100", start=1, strict=True, buffer=10) as ticks:
        assert_type(ticks, derivtrio.Subscription[derivtrio.Tick])
        async for tick in ticks:
            assert_type(tick, derivtrio.Tick)
            assert_type(tick.ask, float | None)
    async with client.candles("R_100", 60, start=1, closed_only=True, overflow="latest") as candles:
        assert_type(candles, derivtrio.Subscription[derivtrio.Candle])
        assert_type((await anext(candles)).closed, bool)
    async with client.balance(buffer=10) as balances:
        assert_type(balances, derivtrio.Subscription[derivtrio.Balance])
        assert_type((await anext(balances)).balance, float | Decimal)
    async with client.open_contract(5, overflow="latest") as contracts:
        assert_type(contracts, derivtrio.Subscription[derivtrio.OpenContract])
        assert_type((await anext(contracts)).profit, float | Decimal | None)
        assert_type((await anext(contracts)).entry_spot, float | Decimal | None)
        assert_type((await anext(contracts)).barrier, str | None)
        assert_type((await anext(contracts)).sell_time, int | None)
        assert_type((await anext(contracts)).is_valid_to_sell, bool)
    client.ticks("R_100", 5)  # type: ignore[call-arg]
    client.ticks(["R_100"])  # type: ignore[arg-type]
    client.candles("R_100", start=1.5)  # type: ignore[arg-type]
    client.open_contract("5")  # type: ignore[arg-type]


CONTRACT = {"contract_type": "CALL", "symbol": "R_100", "currency": "USD", "amount": 1}


async def trading(client: derivtrio.Client, unknown: derivtrio.OutcomeUnknown) -> str:
    async with client.proposal(CONTRACT, overflow="latest", duration=5) as prices:
        assert_type(prices, derivtrio.Subscription[derivtrio.Proposal])
        proposal = await anext(prices)
    purchase = await client.buy(proposal)
    assert_type(purchase, derivtrio.Purchase)
    assert_type(purchase.payout, float | Decimal | None)
    await client.buy(CONTRACT, Decimal("9.50"), reconcile=True)
    assert_type(await client.sell(purchase), derivtrio.Sale)
    assert_type(await client.cancel(purchase.contract_id, reconcile=True), derivtrio.Sale)
    limits = await client.update_contract(purchase, take_profit=None, stop_loss=5)
    assert_type(limits, derivtrio.Limits)
    assert_type(await client.portfolio(), tuple[derivtrio.Position, ...])
    async for row in client.statement(action_type="buy", date_from=1):
        assert_type(row, derivtrio.Transaction)
        assert_type(row.symbol, str)
    async for contract in client.profit_table(date_to=5):
        assert_type(contract.profit, Decimal)
        assert_type(contract.symbol, str)
    assert_type(client.doubts, tuple[derivtrio.OutcomeUnknown, ...])
    await client.buy("id", 5)  # type: ignore[arg-type]
    await client.sell("5")  # type: ignore[arg-type]
    match await client.reconcile(unknown):
        case derivtrio.Bought(purchase, how):
            return f"{purchase.contract_id} {how}"
        case derivtrio.Ambiguous(candidates, how):
            assert_type(candidates, tuple[derivtrio.Purchase, ...])
            return how
        case outcome:
            return outcome.how


async def using(client: derivtrio.Client) -> None:
    assert_type(await client.call({"time": 1}), dict[str, Any])
    await client.send("text")
    await client.send(b"bytes")
    await client.send({"ping": 1})
    async with client.subscribe({"ticks": "R_100"}, buffer=10, overflow="latest") as ticks:
        assert_type(ticks, derivtrio.Subscription[dict[str, Any]])
        async for message in ticks:
            assert_type(message, dict[str, Any])
        assert_type(ticks.id, str | None)
        assert_type(ticks.dropped, int)
        assert_type(ticks.last_at, float | None)
        assert_type(ticks.gaps, tuple[derivtrio.Gap, ...])
    client.subscribe({"ticks": "R_100"}, overflow="newest")  # type: ignore[arg-type]
    async with client.events(traffic=True) as stream:
        async for event in stream:
            watch(event)
    async with client.same_connection():
        pass
    status = client.status
    assert_type(status.state, derivtrio.State)
    assert_type(status.round_trip, float | None)
    status.state = derivtrio.State.READY  # type: ignore[misc]
    assert_type(status.last_message_at, float | None)
    assert_type(status.waiting_for, str | None)
    assert_type(client.metrics, derivtrio.Metrics)
    assert_type(client.metrics.stale_streams, int)
    await client.wait_ready()
    await client.reconnect()
    await client.aclose(4000, "done")


def watch(event: derivtrio.Event) -> str:
    match event:
        case derivtrio.Closed(code=code, by=by):
            assert_type(code, int)
            assert_type(by, events.By)
            return f"{code} {by}"
        case derivtrio.Waiting(delay=delay):
            return f"{delay:.1f}"
        case derivtrio.Gap(after=after, before=before):
            assert_type((after, before), tuple[int, int])
            return f"{after} {before}"
        case derivtrio.Failed(error=error):
            assert_type(error, Exception)
            return str(error)
        case _:
            return f"{event.time}"


async def main(name: str) -> int:
    return len(name)


def running() -> None:
    assert_type(derivtrio.run(main, "name"), int)


def failing(error: derivtrio.DerivError) -> None:
    match error:
        case derivtrio.OutcomeUnknown():
            assert_type(error.written_at, float)
            assert_type(error.server_epoch, tuple[float, float] | None)
        case derivtrio.NotContinuous():
            assert_type(error.gap, derivtrio.Gap)
        case derivtrio.ApiError():
            assert_type(error.code, str)
        case derivtrio.ConnectionFailed():
            assert_type(error.attempts, list[derivtrio.Attempt])
        case derivtrio.HandshakeRejected():
            assert_type(error.status, int)
        case derivtrio.RestRejected():
            assert_type(error.code, str)
            assert_type(error.retry_after, float | None)
        case _:
            pass
