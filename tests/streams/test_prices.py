"""Streams of prices: each price has an id that is good for one purchase, on one connection."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
from contracts import RISE
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Backoff, Client, Proposal, Settings, Subscription
from derivtrio.simulator import Limits, Simulator, open_simulator

SETTINGS = Settings(backoff=Backoff(first=0.5, cap=2))
both_generations = pytest.mark.parametrize("generation", ["v3", "options"])


@asynccontextmanager
async def open_world(generation: str) -> AsyncGenerator[tuple[Simulator, Client]]:
    async with open_simulator(port=None) as sim:
        v3 = generation == "v3"
        endpoint: Any = sim.endpoint if v3 else sim.options_account()
        token = "demo-token" if v3 else None
        async with derivtrio.open_client(
            endpoint=endpoint, token=token, settings=SETTINGS
        ) as client:
            yield sim, client


async def next_price(prices: Subscription[Proposal]) -> Proposal:
    with trio.fail_after(60):
        return await anext(prices)


@both_generations
async def test_prices_go_on_after_each_of_them_was_bought(
    autojump_clock: Any, generation: str
) -> None:
    async with open_world(generation) as (_, client), client.proposal(RISE) as prices:
        purchases = [await client.buy(await next_price(prices)) for _ in range(3)]
    assert len({purchase.contract_id for purchase in purchases}) == 3


async def test_it_does_not_matter_how_the_proposal_was_bought(autojump_clock: Any) -> None:
    async with open_world("v3") as (_, client), client.proposal(RISE) as prices:
        for buy in (client.call, lambda request: client.api.buy(**request)):
            price = await next_price(prices)
            assert "buy" in await buy({"buy": price.id, "price": 10})
        price = await next_price(prices)
        async with client.subscribe({"buy": price.id, "price": 10}) as contract:
            assert "buy" in await anext(contract)
            assert (await next_price(prices)).id != price.id


async def test_who_joins_after_a_purchase_gets_a_price_that_can_be_bought(
    autojump_clock: Any,
) -> None:
    async with open_world("v3") as (_, client), client.proposal(RISE) as mine:
        await client.buy(await next_price(mine))
        async with client.proposal(RISE) as yours:
            await client.buy(await next_price(yours))
            await client.buy(await next_price(mine))
            assert client.status.subscriptions == 1


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
async def test_prices_go_on_after_a_purchase_whose_outcome_is_unknown(
    autojump_clock: Any, fault: str
) -> None:
    async with open_world("v3") as (sim, client), client.proposal(RISE) as prices:
        price = await next_price(prices)
        getattr(sim.faults, fault)("Timeout", "buy")
        with pytest.raises(derivtrio.OutcomeUnknown):
            await client.buy(price)
        await client.buy(await next_price(prices))


async def test_prices_go_on_after_a_purchase_that_was_refused(autojump_clock: Any) -> None:
    async with open_world("v3") as (_, client), client.proposal(RISE) as prices:
        with pytest.raises(derivtrio.ApiError, match="PriceMoved"):
            await client.buy(await next_price(prices), price=1)
        await client.buy(await next_price(prices))


@both_generations
async def test_who_joins_while_a_connection_is_restored_gets_no_price_of_the_old_one(
    autojump_clock: Any, generation: str
) -> None:
    async with open_world(generation) as (sim, client), client.proposal(RISE) as prices:
        old = await next_price(prices)
        sim.faults.delay(5)
        sim.faults.drop()
        async with client.events() as events:
            async for event in events:
                if isinstance(event, derivtrio.Opened):
                    break
        async with client.proposal(RISE) as others:
            new = await next_price(others)
        assert new.id != old.id
        assert (old.connection, new.connection) == (1, 2)
        with pytest.raises(derivtrio.ConnectionChanged):
            await client.buy(old)
        await client.buy(new)


def described(amount: int) -> dict[str, Any]:
    return {**RISE, "amount": amount}


async def test_g08_no_more_prices_are_followed_at_a_time_than_the_server_allows(
    autojump_clock: Any,
) -> None:
    """A refusal by the server would pause all other prices, for up to eight minutes each time."""
    refused = []

    async def follow(client: derivtrio.Client, amount: int) -> None:
        try:
            async with client.proposal(described(amount)):
                await trio.sleep(100)
        except derivtrio.RateLimited as error:
            refused.append(error)

    async with (
        open_simulator(port=None, limits=Limits()) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        async with trio.open_nursery() as nursery:
            for amount in range(1, 8):
                nursery.start_soon(follow, client, amount)
            await trio.sleep(50)
            assert len(refused) == 2
            followed = {*range(1, 8)} - {error.request["amount"] for error in refused}
            async with client.proposal(described(followed.pop())) as shared:
                await anext(shared)
            assert "5 streams of prices" in str(refused[0])
            assert refused[0].retry_after is None
            assert not sim.refused
            assert not any(budget.paused_for for budget in client.budgets)
            await client.call({"proposal": 1, **described(8)})
            await client.reconnect()
        async with client.proposal(described(8)) as prices:
            await anext(prices)
        assert not sim.refused


async def test_the_options_api_has_no_limit_of_prices_at_a_time_that_is_known(
    autojump_clock: Any,
) -> None:
    async with open_world("options") as (sim, client), AsyncExitStack() as stack:
        for amount in range(1, 8):
            prices = await stack.enter_async_context(client.proposal(described(amount)))
            await anext(prices)
        assert not sim.refused


async def test_g08_a_server_may_allow_more_or_fewer_prices_at_a_time(autojump_clock: Any) -> None:
    most = 7

    async def handle(peer: Peer, request: Request) -> None:
        if "website_status" in request:
            limits = {"max_proposal_subscription": {"applies_to": "x", "max": most}}
            await peer.reply(request, website_status={"api_call_limits": limits})
        else:
            payload = {"id": f"p-{request['amount']}", "ask_price": 1}
            await peer.reply(request, proposal=payload, subscription={"id": payload["id"]})

    async with open_server(handle) as server, AsyncExitStack() as stack:
        client = await stack.enter_async_context(derivtrio.open_client(endpoint=server))
        for amount in range(7):
            await stack.enter_async_context(client.proposal(described(amount)))
        assert len(server.asked("website_status")) == 1
        for _ in range(2):
            with pytest.raises(derivtrio.RateLimited, match="7 streams"):
                await stack.enter_async_context(client.proposal(described(7)))
        assert len(server.asked("website_status")) == 1
        assert len(server.asked("proposal")) == 7
