"""The search for an outcome: how it ends, and what it survives."""

from typing import Any

import pytest
import trio
from bank import PARAMETERS, Bank, answering_after, late, lost_after, lost_before
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Bought, NotBought
from tests.trading.world import SETTINGS, in_doubt, open_world


async def test_a_late_answer_ends_the_looking(autojump_clock: Any) -> None:
    async def refused_late(peer: Peer, request: Request, execute: Any) -> None:
        await trio.sleep(32)
        await peer.refuse(request, "PriceMoved")

    async with open_world(refused_late, answering_after(33)) as world:
        unknown = await in_doubt(world)
        outcome = await world.client.reconcile(unknown)
        assert isinstance(outcome, NotBought)
        assert "PriceMoved" in outcome.how
        assert trio.current_time() < 33
        unknown = await in_doubt(world)
        world.bank.statement.clear()
        world.bank.contracts.clear()
        outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Bought)
    assert "came after all" in outcome.how
    assert outcome.purchase.balance_after == 100


async def test_g12_a_cancelled_inquiry_can_be_made_again(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        unknown = await in_doubt(world)
        for seconds in (0, 0.5, 3, 9):
            with trio.move_on_after(seconds) as scope:
                await world.client.reconcile(unknown)
            assert scope.cancelled_caught
        assert isinstance(await world.client.reconcile(unknown), NotBought)


async def test_an_inquiry_outlives_outages_and_passing_refusals(autojump_clock: Any) -> None:
    async with open_world(late(10)) as world:
        unknown = await in_doubt(world)

        async def trouble() -> None:
            for _ in range(5):
                await trio.sleep(1.5)
                await world.server.peers[-1].drop()
            world.bank.refused["statement"] = "RateLimit"
            await trio.sleep(10)
            del world.bank.refused["statement"]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trouble)
            outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Bought)


async def test_an_account_that_cannot_be_looked_into_is_an_error(autojump_clock: Any) -> None:
    async with open_world(lost_after) as world:
        unknown = await in_doubt(world)
        world.bank.refused["statement"] = "PermissionDenied"
        with pytest.raises(derivtrio.PermissionDenied):
            await world.client.reconcile(unknown)
        assert world.client.doubts == (unknown,)


async def test_two_inquiries_into_one_order_agree(autojump_clock: Any) -> None:
    outcomes: list[Any] = []
    async with open_world(late(3)) as world:
        unknown = await in_doubt(world)

        async def reconcile() -> None:
            outcomes.append(await world.client.reconcile(unknown))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reconcile)
            nursery.start_soon(reconcile)
    assert isinstance(outcomes[0], Bought)
    assert outcomes[0] is outcomes[1]


@pytest.mark.parametrize("executed", [False, True])
async def test_g04_what_another_account_shows_decides_nothing(
    autojump_clock: Any, *, executed: bool
) -> None:
    """The client is authorized for another account during the search; the server just says so."""
    banks = {"CR-1": Bank([lost_after if executed else lost_before]), "CR-2": Bank()}
    account: dict[int, str] = {}

    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request:
            account[peer.number] = f"CR-{request['authorize']}"
            await peer.reply(request, authorize={"loginid": account[peer.number]})
        elif "balance" in request:
            await peer.reply(request, balance={"loginid": account[peer.number], "balance": 5})
        elif "statement" in request and executed and account[peer.number] == "CR-1":
            await peer.reply(request, statement={"transactions": []})  # it lags behind
        else:
            await banks[account[peer.number]].handle(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="1", settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        with pytest.raises(derivtrio.OutcomeUnknown) as caught:
            await client.buy(PARAMETERS, 10)
        assert caught.value.loginid == "CR-1"

        async def search() -> None:
            with pytest.raises(derivtrio.AuthorizationRequired, match="for the account CR-1"):
                await client.reconcile(caught.value)

        nursery.start_soon(search)
        await trio.sleep(10)
        await client.authorize("2")
        banks["CR-2"].buy({"parameters": {**PARAMETERS, "amount": 10 if executed else 3}})
        await trio.sleep(60)
        assert client.doubts == (caught.value,)
