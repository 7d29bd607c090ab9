"""Streams of prices: each price has an id that is good for one purchase, on one connection."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from contracts import RISE

import derivtrio
from derivtrio import Backoff, Client, Proposal, Settings, Subscription
from derivtrio.simulator import Simulator, open_simulator

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
