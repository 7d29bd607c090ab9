"""G05: the account's transactions, each once, in order, whatever happens to the connection."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Backoff, Settings, Subscription, Transaction
from derivtrio.api.trades import transaction_in
from derivtrio.client import Client
from derivtrio.simulator import DEMO_TOKEN, Simulator, open_simulator
from derivtrio.streams.transactions import Seen

DEMO = "VRTC1000001"
SETTINGS = Settings(backoff=Backoff(first=1, cap=5))
RISE = {
    "contract_type": "CALL",
    "symbol": "1HZ100V",
    "currency": "USD",
    "basis": "stake",
    "amount": 1,
    "duration": 5,
    "duration_unit": "t",
}


@asynccontextmanager
async def account(**options: Any) -> AsyncGenerator[tuple[Simulator, Client]]:
    async with (
        open_simulator(port=None, **options) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN, settings=SETTINGS) as client,
    ):
        yield sim, client


async def take(stream: Subscription[Transaction], seconds: float) -> list[Transaction]:
    taken: list[Transaction] = []
    with trio.move_on_after(seconds):
        async for transaction in stream:
            taken += [transaction]
    return taken


def numbers(sim: Simulator, *, after: int = 0) -> list[int]:
    return [each.transaction_id for each in sim.ledger(DEMO).transactions][after:]


async def test_what_happens_is_told_as_it_happens(autojump_clock: Any) -> None:
    async with account() as (sim, client):
        await client.buy(RISE, price=1)
        before = len(numbers(sim))
        async with client.transactions() as stream:
            purchase = await client.buy(RISE, price=1)
            sim.deposit(DEMO, Decimal(25))
            taken = await take(stream, 30)
            assert [t.transaction_id for t in taken] == numbers(sim, after=before)
            told = next(t for t in taken if t.contract_id == purchase.contract_id)
            assert (told.action, told.amount) == ("buy", -1)
            assert {t.action for t in taken} == {"buy", "sell", "deposit"}


async def test_g05_what_happened_in_an_outage_is_taken_from_the_statement(
    autojump_clock: Any,
) -> None:
    async with account() as (sim, client), client.transactions() as stream:
        await client.buy(RISE, price=1)
        taken = await take(stream, 1)
        for _ in range(3):
            sim.faults.refuse(300)
            sim.faults.drop()
            for amount in range(1, 130):  # more than a page of the statement
                sim.deposit(DEMO, Decimal(amount))
            await trio.sleep(100)
            sim.deposit(DEMO, Decimal(1))
            await client.wait_ready()
            sim.deposit(DEMO, Decimal(2))
            taken += await take(stream, 10)
        assert [t.transaction_id for t in taken] == numbers(sim)
        assert stream.gaps == ()


@pytest.mark.parametrize("afterwards", [False, True])
async def test_g05_a_statement_that_lags_behind_hides_nothing(
    autojump_clock: Any, *, afterwards: bool
) -> None:
    rows: list[dict[str, Any]] = []
    begin = trio.current_time()

    def enter(number: int) -> dict[str, Any]:
        now = 100 + int(trio.current_time() - begin)
        row = {"transaction_id": number, "action": "buy", "amount": -1, "transaction_time": now}
        rows.insert(0, row)
        return row

    async def handle(peer: Peer, request: Request) -> None:
        if "transaction" in request:
            subscription = {"id": f"{peer.number}"}
            await peer.reply(request, transaction=subscription, subscription=subscription)
            if peer.number == 1:
                enter(1)
                await peer.reply(request, transaction=rows[0], subscription=subscription)
            if peer.number == 2 and afterwards:
                await trio.sleep(1)
                await peer.reply(request, transaction=enter(3), subscription=subscription)
        elif "statement" in request:
            read = 100 + trio.current_time() - begin - 4  # a copy that is four seconds old
            known = [row for row in rows if row["transaction_time"] < read]
            await peer.reply(request, statement={"count": 9, "transactions": known})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.transactions() as stream,
    ):
        taken = await take(stream, 10)
        server.refuses = True
        await server.peers[0].drop()
        await trio.sleep(10)
        enter(2)
        server.refuses = False
        taken += await take(stream, 20)
        assert [t.transaction_id for t in taken] == ([1, 3, 2] if afterwards else [1, 2])
        asked = [r for _, r in server.asked("statement") if "description" in r]
        assert len(asked) == 2
        assert all(request["date_from"] > 0 for request in asked)  # not years of it
        server.refuses = True  # once more
        await server.peers[1].drop()
        await trio.sleep(10)
        enter(4)
        server.refuses = False
        assert [t.transaction_id for t in await take(stream, 20)] == [4]


@pytest.mark.parametrize("odd", [{"amount": None}, {"amount": "much"}, {"transaction_time": ""}])
async def test_g05_a_row_that_cannot_be_read_takes_no_other_with_it(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture, odd: dict[str, Any]
) -> None:
    """It is in the newest page of the statement for days: the stream must live with it."""

    def row(number: int) -> dict[str, Any]:
        common = {"action": "buy", "amount": -1, "transaction_time": 100 + number}
        return {**common, "transaction_id": number}

    rows = [{**row(2), **odd}, row(1)]

    async def handle(peer: Peer, request: Request) -> None:
        if "transaction" in request:
            subscription = {"id": f"{peer.number}"}
            await peer.reply(request, transaction=subscription, subscription=subscription)
            if peer.number == 2:
                await peer.reply(request, transaction=rows[0], subscription=subscription)
        elif "statement" in request:
            await peer.reply(request, statement={"count": 9, "transactions": rows})
        elif "website_status" in request:
            await peer.reply(request, website_status={})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.transactions() as stream,
    ):
        rows[:0] = [{**row(5), **odd}, row(4), {**row(3), **odd}]
        await server.peers[0].drop()
        assert [each.transaction_id for each in await take(stream, 30)] == [4]
        rows[:0] = [row(6)]
        await server.peers[1].drop()
        assert [each.transaction_id for each in await take(stream, 30)] == [6]
    assert "a row of the statement that cannot be read" in caplog.text


@pytest.mark.parametrize("time", [9_999_999_999, 1_700_000_000_000])
async def test_g18_a_transaction_from_the_future_hides_none_after_it(
    autojump_clock: Any, time: int
) -> None:
    rows = [_row(1)]

    async def handle(peer: Peer, request: Request) -> None:
        if "transaction" in request:
            subscription = {"id": f"{peer.number}"}
            await peer.reply(request, transaction=subscription, subscription=subscription)
            await trio.sleep(1)
            if peer.number == 1:
                rows[:0] = [{**_row(2), "transaction_time": time}]
                await peer.reply(request, transaction=rows[0], subscription=subscription)
        elif "statement" in request:
            known = [row for row in rows if row["transaction_time"] >= request.get("date_from", 0)]
            await peer.reply(request, statement={"count": 9, "transactions": known})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.transactions() as stream,
    ):
        await take(stream, 5)
        rows[:0] = [_row(3)]
        await server.peers[0].drop()
        assert [each.transaction_id for each in await take(stream, 30)] == [3]


def _row(number: int) -> dict[str, Any]:
    common = {"action": "buy", "amount": -1, "transaction_time": 100 + number}
    return {**common, "transaction_id": number}


async def test_g05_of_an_outage_before_anything_happened(autojump_clock: Any) -> None:
    async with account() as (sim, client), client.transactions() as stream:
        sim.faults.refuse(30)
        sim.faults.drop()
        await trio.sleep(10)
        sim.deposit(DEMO, Decimal(5))
        assert [t.amount for t in await take(stream, 60)] == [5]


async def test_an_outage_does_not_bring_back_what_happened_before_the_stream(
    autojump_clock: Any,
) -> None:
    async with account() as (sim, client):
        for amount in range(1, 202):  # more than two pages of the statement
            sim.deposit(DEMO, Decimal(amount))
            await trio.sleep(1)
        async with client.transactions() as stream:
            sim.faults.drop()
            sim.deposit(DEMO, Decimal(1000))
            assert [t.amount for t in await take(stream, 30)] == [1000]


async def test_g06_who_joins_is_not_told_of_before(autojump_clock: Any) -> None:
    async with account() as (sim, client), client.transactions() as first:
        sim.deposit(DEMO, Decimal(5))
        await trio.sleep(1)
        async with client.transactions() as second:
            sim.faults.drop()
            sim.deposit(DEMO, Decimal(6))
            assert [t.amount for t in await take(second, 30)] == [6]
        assert [t.amount for t in await take(first, 1)] == [5, 6]
        assert client.status.subscriptions == 1


async def test_an_overflow_takes_transactions_but_no_outage(autojump_clock: Any) -> None:
    async with (
        account() as (sim, client),
        client.transactions(buffer=2, overflow="drop_oldest") as stream,
    ):
        sim.faults.drop()
        sim.deposit(DEMO, Decimal(1))
        await trio.sleep(10)
        for amount in (2, 3, 4):
            sim.deposit(DEMO, Decimal(amount))
            await trio.sleep(1)
        taken = await take(stream, 10)
        assert sorted(t.amount for t in taken) == [1, 2, 3, 4]  # all are in the statement
        assert stream.dropped == 2


async def test_g05_an_outage_does_not_bring_back_what_was_dropped_before_a_later_one(
    autojump_clock: Any,
) -> None:
    async with account() as (sim, client), client.transactions(overflow="latest") as stream:
        for amount in (1, 2):
            sim.deposit(DEMO, Decimal(amount))
            await trio.sleep(1)
        assert [t.amount for t in await take(stream, 1)] == [2]
        sim.faults.drop()
        sim.deposit(DEMO, Decimal(3))
        await trio.sleep(5)
        assert [t.amount for t in await take(stream, 20)] == [3]
        assert stream.dropped == 1


async def test_nobody_has_no_transactions(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        with pytest.raises(derivtrio.AuthorizationRequired):
            await client.transactions().__aenter__()
        assert client.status.subscriptions == 0


async def test_g12_a_cancelled_look_into_the_statement_is_made_again(autojump_clock: Any) -> None:
    async with account() as (sim, client), client.transactions() as stream:
        sim.faults.drop()
        sim.deposit(DEMO, Decimal(7))
        await trio.sleep(10)
        sim.faults.delay(5)
        assert await take(stream, 1) == []
        assert [t.amount for t in await take(stream, 60)] == [7]


async def test_a_look_into_the_statement_ends_with_the_client(autojump_clock: Any) -> None:
    async with (
        account() as (sim, client),
        client.transactions() as stream,
        trio.open_nursery() as nursery,
    ):
        sim.faults.drop()
        await trio.sleep(10)
        sim.faults.delay(5)
        nursery.start_soon(client.aclose)
        assert await take(stream, 60) == []


@pytest.mark.parametrize(
    "request_", [{"buy": "1", "price": 1, "parameters": RISE}, {"proposal_open_contract": 1}]
)
async def test_a_plain_stream_of_a_contract_ends_when_it_is_sold(
    request_: dict[str, Any], autojump_clock: Any
) -> None:
    async with account() as (_, client):
        if "buy" not in request_:
            purchase = await client.buy(RISE, price=1)
            request_ = request_ | {"contract_id": purchase.contract_id}
        with trio.fail_after(60):
            async with client.subscribe(request_) as stream:
                messages = [message async for message in stream]
        assert messages[-1]["proposal_open_contract"]["is_sold"] == 1
        assert len(messages) > 2


def transaction(number: int, epoch: int) -> Transaction:
    row = {
        "transaction_id": number,
        "transaction_time": epoch,
        "action_type": "deposit",
        "amount": 1,
        "balance_after": number,
    }
    return transaction_in(row)


def test_g14_transactions_are_remembered_within_bounds_and_none_comes_twice() -> None:
    """Of those that are not remembered, none is looked for in the statement any more."""
    seen, most = Seen(), 0
    for number in range(5000):
        assert seen.note(transaction(number, 1000 + number))
        if number % 100 == 0:
            most = max(most, len(repr(attrs.astuple(seen))))
    assert 10_000 < most < 20_000  # some 12 characters for each of a thousand
    statement = [transaction(number, 1000 + number) for number in reversed(range(5002))]
    assert [each.transaction_id for each in seen.unseen(statement)] == [5000, 5001]


async def test_a_statement_that_is_refused_is_told_to_the_consumer(autojump_clock: Any) -> None:
    """Nothing that may be missing is passed over; the next look may succeed."""
    async with account() as (sim, client), client.transactions() as stream:
        assert stream.id is not None
        sim.faults.drop()
        sim.deposit(DEMO, Decimal(7))
        await trio.sleep(10)
        sim.faults.fail_before("PermissionDenied", "statement")
        with pytest.raises(derivtrio.PermissionDenied):
            await anext(stream)
        assert (await anext(stream)).amount == 7
