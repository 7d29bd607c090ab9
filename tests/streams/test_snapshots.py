"""Balances and contracts: streams of which every message is the whole truth."""

from decimal import Decimal
from typing import Any

import pytest
import trio
from scripted import Peer, Request, open_server, polite
from test_transactions import account

import derivtrio
from derivtrio import Backoff, Settings
from derivtrio.simulator import open_simulator

SETTINGS = Settings(backoff=Backoff(first=1, cap=1))


async def test_the_balance_now_and_every_change_also_across_an_outage(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(
            endpoint=sim.endpoint, token="demo-token", settings=SETTINGS
        ) as client,
        client.balance() as balances,
    ):
        first = await anext(balances)
        sim.deposit("VRTC1000001", Decimal("0.5"))
        second = await anext(balances)
        sim.faults.drop()
        sim.deposit("VRTC1000001", Decimal(1))
        third = await anext(balances)
        assert (balances.gaps, balances.gap_count) == ((), 0)  # there is nothing to be missed
    assert first == derivtrio.Balance("VRTC1000001", 10000, "USD")
    assert (second.balance, third.balance) == (10000.5, 10001.5)


async def test_a_contract_is_followed_to_its_end_across_connections(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "proposal_open_contract" not in request:
            return
        contract = {"contract_id": 42, "status": "open", "is_sold": 0, "bid_price": "9.10"}
        subscription = {"id": f"stream-{peer.number}"}
        await peer.reply(request, proposal_open_contract=contract, subscription=subscription)
        await trio.sleep(1)
        if peer.number == 1:
            await peer.drop()
        sold = {**contract, "status": "won", "is_sold": 1, "underlying": "R_100", "profit": 9.5}
        await peer.reply(request, proposal_open_contract=sold, subscription=subscription)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.open_contract(42) as contract,
    ):
        seen = [state async for state in contract]
        assert client.status.connection == 2
    assert [(s.status, s.is_sold) for s in seen] == [
        ("open", False),
        ("open", False),
        ("won", True),
    ]
    assert seen[0].bid_price == Decimal("9.10")
    assert (seen[-1].symbol, seen[-1].profit, seen[-1].sell_price) == ("R_100", 9.5, None)
    assert seen[-1].raw["is_sold"] == 1
    assert all(r["contract_id"] == 42 for _, r in server.asked("proposal_open_contract"))


async def test_a_contract_sold_long_ago_is_told_once(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, proposal_open_contract={"contract_id": 42, "is_sold": 1})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        async with client.open_contract(42) as contract:
            assert len([state async for state in contract]) == 1
        with pytest.raises(derivtrio.InvalidRequest, match="contract_id"):
            client.open_contract("42")  # type: ignore[arg-type]


async def test_g18_an_amount_that_is_no_number_has_the_stream_asked_for_again(
    autojump_clock: Any,
) -> None:
    amounts = [["1.50", "a lot"], ["2.50"]]

    async def handle(peer: Peer, request: Request) -> None:
        if "balance" in request:
            for amount in amounts.pop(0):
                balance = {"balance": amount, "currency": "USD", "loginid": "CR1"}
                await peer.reply(request, balance=balance, subscription={"id": "x"})
        elif "forget" in request:
            await peer.reply(request, forget=1)
        else:
            await polite(peer, request)

    async with open_server(handle) as server, derivtrio.open_client(endpoint=server) as client:
        async with client.balance() as balances:
            assert (await anext(balances)).balance == Decimal("1.50")
            assert (await anext(balances)).balance == Decimal("2.50")
        assert (await client.call({"time": 1}))["time"] == 1700000000
        assert client.status.connection == 1


async def test_an_account_without_a_currency_has_a_balance(autojump_clock: Any) -> None:
    """Deriv's schemas allow it: an account is new, and its owner has chosen none."""

    async def handle(peer: Peer, request: Request) -> None:
        balance = {"balance": 0, "currency": "", "loginid": "CR1"}
        await peer.reply(request, balance=balance, subscription={"id": "x"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server) as client,
        client.balance() as balances,
    ):
        assert await anext(balances) == derivtrio.Balance("CR1", 0, "")


async def test_g09_a_balance_that_the_server_does_not_resume_ends_with_its_error(
    autojump_clock: Any,
) -> None:
    """The refusal comes at once: of a balance nothing can be missing."""
    async with account() as (sim, client), client.balance() as stream:
        await anext(stream)
        sim.faults.fail_before("StreamingNotAllowed", "balance")
        sim.faults.drop()
        with pytest.raises(derivtrio.ApiError, match="StreamingNotAllowed"):
            await anext(stream)
        assert client.status.connection == 2


async def test_g18_the_end_of_another_contract_is_not_this_ones(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "proposal_open_contract" not in request:
            await polite(peer, request)
            return
        contract = {"contract_id": 42, "status": "open", "is_sold": 0, "bid_price": "9.10"}
        other = {"contract_id": 43, "status": "lost", "is_sold": 1, "sell_price": "0"}
        sold = {**contract, "status": "won", "is_sold": 1}
        for each in (contract, other, contract, sold):
            await peer.reply(request, proposal_open_contract=each, subscription={"id": "stream"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.open_contract(42) as contract,
    ):
        seen = [state async for state in contract]
    assert [(state.contract_id, state.status) for state in seen] == [
        (42, "open"),
        (42, "open"),
        (42, "won"),
    ]


@pytest.mark.parametrize("connection", [1, 2])
@pytest.mark.parametrize("name", ["ticks", "proposal_open_contract", "balance"])
async def test_g09_a_stream_that_the_server_does_not_grant_does_not_end_as_if_it_were_over(
    autojump_clock: Any, name: str, connection: int
) -> None:
    """A contract that has just been bought, and that another part of the server does not know."""
    payloads = {
        "ticks": {"tick": {"symbol": "R_100", "epoch": 100, "quote": 1.5}},
        "balance": {"balance": {"loginid": "CR1", "balance": 1, "currency": "USD"}},
        "proposal_open_contract": {"proposal_open_contract": {"contract_id": 42, "is_sold": 0}},
    }

    async def handle(peer: Peer, request: Request) -> None:
        if peer.number < connection:
            await peer.reply(request, **payloads[name], subscription={"id": "x"})
            await peer.drop()
        else:
            payloads["proposal_open_contract"] = {"proposal_open_contract": {}}
            await peer.reply(request, **payloads[name])

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        streams = {
            "ticks": lambda: client.ticks("R_100"),
            "balance": client.balance,
            "proposal_open_contract": lambda: client.open_contract(42),
        }
        with pytest.raises(derivtrio.ProtocolViolation, match="has no subscription"):
            async with streams[name]() as stream:
                async for _ in stream:
                    pass


PRICE = {"proposal": {"id": "p-1", "ask_price": 10, "payout": 19.53, "spot": 1.5}}
DESCRIBED = {"contract_type": "DIGITEVEN", "symbol": "R_100", "currency": "USD"}


@pytest.mark.parametrize("typed", [True, False])
async def test_a_price_that_does_not_change_comes_once_and_the_stream_is_over(
    autojump_clock: Any, *, typed: bool
) -> None:
    """Deriv streams no constant price: its reply has no subscription (`proposal`, send.json)."""

    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, **PRICE)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        request = {"proposal": 1, **DESCRIBED}
        stream: Any = client.proposal(DESCRIBED) if typed else client.subscribe(request)
        async with stream:
            assert len([price async for price in stream]) == 1
            await client.reconnect()
        assert client.status.subscriptions == 0
        assert len(server.asked("proposal")) == 1


@pytest.mark.parametrize("name", ["proposal", "proposal_open_contract"])
async def test_g18_a_stream_whose_only_message_cannot_be_read_does_not_end_as_if_it_were_over(
    autojump_clock: Any, name: str
) -> None:
    """A contract that was sold before, or a constant price: there is one reply, and no more."""
    payload = {"proposal": {"id": []}, "proposal_open_contract": {"contract_id": [], "is_sold": 1}}

    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, **{name: payload[name]})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        stream: Any = client.proposal(DESCRIBED) if name == "proposal" else client.open_contract(42)
        with pytest.raises(derivtrio.ProtocolViolation, match="cannot be read"):
            async with stream:
                async for _ in stream:
                    pass
        assert client.status.subscriptions == 0


async def test_g18_a_first_message_that_cannot_be_read_is_asked_for_again_at_once(
    autojump_clock: Any,
) -> None:
    """Whatever trio does first: tell who asked for the stream, or have it asked for again."""
    asked = set[int]()

    async def handle(peer: Peer, request: Request) -> None:
        if "proposal_open_contract" not in request:
            return await polite(peer, request)
        number, is_first = request["contract_id"], request["contract_id"] not in asked
        asked.add(number)
        state = {"contract_id": [] if is_first else number, "is_sold": 0}
        stream = {"id": f"{number} {is_first}"}
        return await peer.reply(request, proposal_open_contract=state, subscription=stream)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        for number in range(1, 13):
            async with client.open_contract(number) as contract:
                with trio.fail_after(5):
                    assert (await anext(contract)).contract_id == number


async def test_g18_a_message_that_could_not_be_read_does_not_spoil_the_end(
    autojump_clock: Any,
) -> None:
    """A price: the stream was asked for again, and then it does not change any more."""
    asked = 0

    async def handle(peer: Peer, request: Request) -> None:
        nonlocal asked
        if "proposal" not in request:
            return await peer.reply(request, forget=1)
        asked += 1
        if asked == 1:
            await peer.reply(request, **PRICE, subscription={"id": "x"})
            await trio.sleep(1)
            return await peer.reply(request, proposal={"id": []}, subscription={"id": "x"})
        return await peer.reply(request, **PRICE)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.proposal(DESCRIBED) as prices,
    ):
        assert len([price async for price in prices]) == 2
