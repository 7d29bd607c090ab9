"""What becomes of a stream of prices when somebody tries to buy one of them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from bank import PARAMETERS
from scripted import Peer, Request, Server, open_server

import derivtrio
from derivtrio import Backoff, Client, Settings
from derivtrio.calls.doubts import BUYS
from derivtrio.simulator import Simulator, open_simulator

SETTINGS = Settings(heartbeat_interval=3600, backoff=Backoff(first=1, cap=1))
CONTRACT = {**PARAMETERS, "duration": 10, "duration_unit": "m"}


@asynccontextmanager
async def simulated() -> AsyncGenerator[tuple[Simulator, Client]]:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(
            endpoint=sim.endpoint, token="demo-token", settings=SETTINGS
        ) as client,
    ):
        yield sim, client


async def test_g05_who_leaves_after_the_purchase_asks_for_no_more_prices(
    autojump_clock: Any,
) -> None:
    async with simulated() as (sim, client):
        async with client.proposal(CONTRACT) as prices:
            await client.buy(await anext(prices))
        await trio.sleep(5)
        names = [next(iter(r)) for r in sim.connections[0].requests]
        assert (names.count("proposal"), names.count("forget")) == (1, 1)


async def test_who_joins_while_others_buy_gets_a_price_that_can_be_bought(
    autojump_clock: Any,
) -> None:
    async with (
        simulated() as (sim, client),
        client.proposal(CONTRACT) as prices,
        trio.open_nursery() as nursery,
    ):
        price = await anext(prices)
        sim.faults.delay(0.3)
        nursery.start_soon(client.buy, price)
        await trio.sleep(0.1)
        async with client.proposal(CONTRACT) as others:
            assert await client.buy(await anext(others))


async def test_what_nobody_read_of_a_price_that_was_bought_is_taken_back(
    autojump_clock: Any,
) -> None:
    async with (
        simulated() as (sim, client),
        client.proposal(CONTRACT) as prices,
        client.subscribe({"proposal": 1, **CONTRACT}) as plain,
    ):
        price = await anext(prices)
        sim.faults.delay(10)  # several prices come before the answer
        await client.buy(price)
        with trio.fail_after(20):
            assert (await anext(prices)).id != price.id
        assert (await anext(plain))["proposal"]["id"] == price.id  # that is as it was sent


# What the server answers, and what it does not.


@attrs.define
class Dealer:
    """Has a price when asked for one, and does with purchases what `answer` says."""

    answer: Callable[[Peer, Request], Awaitable[None]]
    slow_to_forget: float = 0
    live: dict[str, Request] = attrs.field(factory=dict)
    asked: list[float] = attrs.field(factory=list)

    async def __call__(self, peer: Peer, request: Request) -> None:
        if "proposal" in request:
            self.asked.append(trio.current_time())
            if self.live:
                await peer.refuse(request, "AlreadySubscribed")
                return
            number = f"price-{len(self.asked)}"
            self.live[number] = request
            await self.tell(peer, number)
        elif "forget" in request:
            await trio.sleep(self.slow_to_forget)
            self.live.pop(request["forget"], None)
            await peer.reply(request, forget=1)
        elif not request.keys().isdisjoint(BUYS):
            await self.answer(peer, request)

    async def tell(self, peer: Peer, number: str) -> None:
        price = {"id": number, "ask_price": 10, "payout": 20}
        await peer.reply(self.live[number], proposal=price, subscription={"id": number})


@asynccontextmanager
async def dealing(dealer: Dealer, **settings: Any) -> AsyncGenerator[tuple[Server, Client]]:
    async with (
        open_server(dealer) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS.but(**settings)) as client,
    ):
        yield server, client


def refusing(code: str) -> Callable[[Peer, Request], Awaitable[None]]:
    async def answer(peer: Peer, request: Request) -> None:
        await peer.refuse(request, code)

    return answer


async def saying_nothing(peer: Peer, request: Request) -> None:
    """Leave the client in doubt."""


@pytest.mark.parametrize(
    "code", ["InvalidContractProposal", "PriceMoved", "InsufficientBalance", "WrongResponse"]
)
async def test_g05_prices_go_on_whatever_the_server_says_of_a_purchase(
    autojump_clock: Any, code: str
) -> None:
    async with dealing(Dealer(refusing(code))) as (_, client), client.proposal(CONTRACT) as prices:
        price = await anext(prices)
        with pytest.raises(derivtrio.DerivError):
            await client.buy(price)
        with trio.fail_after(1):
            assert (await anext(prices)).id == "price-2"


@pytest.mark.parametrize(
    "code", ["AuthorizationRequired", "InputValidationFailed", "PermissionDenied", "RateLimit"]
)
async def test_a_purchase_that_is_refused_at_the_door_leaves_the_price_as_it_is(
    autojump_clock: Any, code: str
) -> None:
    dealer = Dealer(refusing(code))
    async with dealing(dealer) as (server, client), client.proposal(CONTRACT) as prices:
        price = await anext(prices)
        with pytest.raises(derivtrio.ApiError):
            await client.buy(price)
        await trio.sleep(5)
        assert server.asked("forget") == []
        async with client.proposal(CONTRACT) as others:
            assert (await anext(others)).id == price.id
        assert len(dealer.asked) == 1


async def test_g05_prices_go_on_after_a_purchase_in_doubt(autojump_clock: Any) -> None:
    dealer = Dealer(saying_nothing)
    async with (
        dealing(dealer, response_timeout=5) as (_, client),
        client.proposal(CONTRACT) as prices,
    ):
        price = await anext(prices)
        with pytest.raises(derivtrio.OutcomeUnknown):
            await client.buy(price)
        with trio.fail_after(1):
            assert (await anext(prices)).id == "price-2"


async def test_g05_prices_go_on_after_a_purchase_for_several_accounts(
    autojump_clock: Any,
) -> None:
    name = "buy_contract_for_multiple_accounts"

    async def answering(peer: Peer, request: Request) -> None:
        await peer.reply(request, **{name: {"result": []}})

    async with (
        dealing(Dealer(answering), check_requests=False) as (_, client),
        client.proposal(CONTRACT) as prices,
    ):
        price = await anext(prices)
        await client.call({name: price.id, "price": 10, "tokens": ["another-token"]})
        with trio.fail_after(1):
            assert (await anext(prices)).id == "price-2"


async def test_g12_prices_go_on_after_a_purchase_whose_caller_went_away(
    autojump_clock: Any,
) -> None:
    async with (
        dealing(Dealer(saying_nothing)) as (_, client),
        client.proposal(CONTRACT) as prices,
    ):
        price = await anext(prices)
        with trio.move_on_after(1):
            await client.buy(price)
        with trio.fail_after(1):
            assert (await anext(prices)).id == "price-2"


async def test_g12_a_purchase_that_was_never_written_leaves_the_price_as_it_is(
    autojump_clock: Any,
) -> None:
    async with dealing(Dealer(saying_nothing)) as (server, client):
        async with client.proposal(CONTRACT) as prices:
            price = await anext(prices)
            with trio.CancelScope() as scope:
                scope.cancel()
                await client.buy(price)
            await trio.sleep(5)
            assert (server.asked("buy"), server.asked("forget")) == ([], [])


@pytest.mark.parametrize("slowness", [0.2, 2.0, 7.0])
async def test_g05_a_stream_that_the_server_still_counts_is_asked_for_when_it_is_gone(
    autojump_clock: Any, slowness: float
) -> None:
    dealer = Dealer(refusing("PriceMoved"), slow_to_forget=slowness)
    async with dealing(dealer) as (_, client), client.proposal(CONTRACT) as prices:
        price = await anext(prices)
        with pytest.raises(derivtrio.ApiError):
            await client.buy(price)
        with trio.fail_after(slowness + 1):
            assert (await anext(prices)).id == f"price-{len(dealer.asked)}"
        assert len(dealer.asked) <= 3


async def test_late_messages_of_a_price_that_was_bought_are_not_passed_on(
    autojump_clock: Any,
) -> None:
    dealer = Dealer(refusing("PriceMoved"))
    async with dealing(dealer) as (server, client), client.proposal(CONTRACT) as prices:
        price = await anext(prices)
        opening = dealer.live[price.id]
        with pytest.raises(derivtrio.ApiError):
            await client.buy(price)
        late = {"id": price.id, "ask_price": 10, "payout": 20}
        await server.peers[0].reply(opening, proposal=late, subscription={"id": price.id})
        assert (await anext(prices)).id == "price-2"
        assert prices.id == "price-2"
        assert len(server.asked("forget")) == 1


async def test_a_purchase_whose_connection_was_lost_is_followed_by_the_price_of_the_next(
    autojump_clock: Any,
) -> None:
    dealer = Dealer(lambda peer, _: peer.drop())
    async with dealing(dealer) as (_, client), client.proposal(CONTRACT) as prices:
        price = await anext(prices)
        dealer.live.clear()
        with pytest.raises(derivtrio.OutcomeUnknown):
            await client.buy(price)
        assert ((await anext(prices)).id, len(dealer.asked)) == ("price-2", 2)
