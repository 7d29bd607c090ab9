"""Whatever a server sends, and whatever a request has in it: an error of the hierarchy, at most."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from bank import PARAMETERS, Fault, lost_after, lost_before
from scripted import Peer, Request

import derivtrio
from derivtrio import Bought, DerivError, OutcomeUnknown, Sold
from derivtrio.models import Outcome
from tests.trading import world as world_module
from tests.trading.world import World, in_doubt, open_world

ODD: list[Any] = [None, 1, "text", [], [1], [[]], {}, {"x": [1]}, True, 1e300]


@pytest.fixture
def _unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients write requests that Deriv's schemas do not allow."""
    settings = attrs.evolve(world_module.SETTINGS, check_requests=False)
    monkeypatch.setattr(world_module, "SETTINGS", settings)


def answering_with(**payload: Any) -> Any:
    async def fault(peer: Peer, request: Request, execute: Any) -> None:
        execute()
        await peer.reply(request, **payload)

    return fault


@pytest.mark.parametrize("odd", ODD)
async def test_g18_a_reply_to_a_trade_that_cannot_be_read_leaves_it_in_doubt(
    autojump_clock: Any, odd: Any
) -> None:
    async with open_world() as world:
        client = world.client
        purchase = await client.buy(PARAMETERS, 10)
        for call, trade in (
            ("buy", lambda: client.buy(PARAMETERS, 10)),
            ("contract_update", lambda: client.update_contract(purchase, stop_loss=3)),
            ("contract_update", lambda: client.update_contract(purchase, stop_loss=4)),
            ("sell", lambda: client.sell(purchase)),
        ):
            world.bank.faults.append(answering_with(**{call: odd}))
            if call == "contract_update" and isinstance(odd, dict):
                world.bank.faults.clear()
                continue  # an object that names no limits is an answer
            with pytest.raises(OutcomeUnknown, match="cannot be read"):
                await trade()
        outcomes = [await client.reconcile(unknown) for unknown in client.doubts]
        assert isinstance(outcomes[0], Bought)
        assert isinstance(outcomes[-1], Sold)


@pytest.mark.parametrize("limit", [5, "text", [1], {"order_amount": [1]}, {"order_amount": "?"}])
async def test_g18_so_does_a_limit_that_is_no_amount(autojump_clock: Any, limit: Any) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        world.bank.faults.append(answering_with(contract_update={"stop_loss": limit}))
        update = world.client.update_contract(purchase, stop_loss=3)
        if isinstance(limit, dict):
            with pytest.raises(OutcomeUnknown, match="cannot be read"):
                await update
        else:
            assert (await update).stop_loss is None


async def looked_up(world: World, unknown: OutcomeUnknown) -> Outcome | DerivError:
    try:
        return await world.client.reconcile(unknown)
    except DerivError as error:
        return error


@asynccontextmanager
async def open_odd_world(answers: Request, *faults: Fault) -> AsyncGenerator[World]:
    """Open a world that gives these *answers* to the calls they are for, whatever was asked."""
    async with open_world(*faults) as world:

        async def handle(peer: Peer, request: Request) -> None:
            name = next((name for name in answers if name in request), None)
            if name is None:
                await world.bank.handle(peer, request)
            else:
                await peer.reply(request, **{name: answers[name]})

        world.server.handle = handle
        yield world


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("listed", ["statement", "profit_table", "portfolio"])
async def test_g18_a_list_that_cannot_be_read_is_the_servers_fault(
    autojump_clock: Any, listed: str, odd: Any
) -> None:
    """Each member of a row in turn, and then the whole."""
    answers: Request = {}
    async with open_odd_world(answers, lost_after) as world:
        unknown = await in_doubt(world)
        [good] = [*world.bank.statement] if listed == "statement" else world.bank.contracts.values()
        member = "contracts" if listed == "portfolio" else "transactions"
        good = {**good, "sell_price": 5}
        if listed != "statement":
            world.bank.statement.clear()
        for name in good:
            answers[listed] = {member: [{**good, name: odd}]}
            await looked_up(world, OutcomeUnknown("?", unknown.request, 1, 0))
        for whole in (odd, {member: odd}, {member: [odd]}):
            answers[listed] = whole
            found = await looked_up(world, OutcomeUnknown("?", unknown.request, 1, 0))
            empty = whole in ({member: []}, {member: {}})
            assert isinstance(found, derivtrio.ProtocolViolation) or empty


@pytest.mark.parametrize("name", ["sell", "cancel", "contract_update"])
@pytest.mark.parametrize("odd", ODD)
async def test_g18_so_is_a_contract_that_cannot_be_read(
    autojump_clock: Any, name: str, odd: Any
) -> None:
    answers: Request = {}
    async with open_odd_world(answers) as world:
        world.bank.buy({"parameters": PARAMETERS})
        request = {"contract_id": 1001, "limit_order": {"stop_loss": 3}, name: 1001}
        contract = {"contract_id": 1001, "status": "sold", "is_sold": 1, "sell_price": 5}
        members = "contract_id sell_time transaction_ids status sell_price purchase_time is_sold"
        for member in (*members.split(), "limit_order", "contract_type", "shortcode", "barrier"):
            answers["proposal_open_contract"] = {**contract, member: odd}
            await looked_up(world, OutcomeUnknown("?", request, 1, 0))
        for whole in (
            odd,
            {"contract_id": 1001, "limit_order": {"stop_loss": {"order_amount": odd}}},
        ):
            answers["proposal_open_contract"] = whole
            await looked_up(world, OutcomeUnknown("?", request, 1, 0))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.usefixtures("_unchecked")
async def test_g18_a_request_that_was_not_checked_can_be_looked_up(
    autojump_clock: Any, odd: Any
) -> None:
    """A plain `call` writes what it is given, and its doubt has that."""
    plain: list[Request] = [
        {"buy": odd, "price": 10, "parameters": PARAMETERS},
        {"buy": "1", "price": odd, "parameters": PARAMETERS},
        {"buy": "1", "price": 10, "parameters": odd},
        {"buy": "1", "parameters": {**PARAMETERS, "barrier": odd, "barrier2": odd}},
        {"buy": "1", "parameters": {**PARAMETERS, "duration_unit": odd, "duration": odd}},
        {"buy": "1", "parameters": {**PARAMETERS, "limit_order": odd, "cancellation": odd}},
        {"buy": "1", "parameters": {**PARAMETERS, "symbol": odd, "contract_type": odd}},
        {"sell": odd, "price": odd},
        {"cancel": odd},
        {"contract_update": 1, "contract_id": odd, "limit_order": odd},
        {"contract_update": 1},
    ]
    async with open_world() as world:
        world.bank.buy({"parameters": PARAMETERS})
        for request in plain:
            world.bank.faults.append(lost_before)
            try:
                await world.client.call(request)
            except OutcomeUnknown as unknown:
                await looked_up(world, unknown)
            except derivtrio.InvalidRequest:
                world.bank.faults.clear()


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.usefixtures("_unchecked")
async def test_g18_so_can_one_that_was_answered(autojump_clock: Any, odd: Any) -> None:
    """What the server says of a contract that no int names is kept for nobody."""
    async with open_world() as world:
        for name in ("sell", "cancel"):
            world.bank.faults.append(answering_only(name))
            try:
                await world.client.call({name: odd, "price": 0} if name == "sell" else {name: odd})
            except DerivError:
                world.bank.faults.clear()
        world.bank.faults.append(lost_before)
        await looked_up(world, await in_doubt(world))


def answering_only(name: str) -> Any:
    async def fault(peer: Peer, request: Request, _execute: Any) -> None:
        await peer.reply(request, **{name: {"contract_id": 5, "sold_for": 1}})

    return fault


@pytest.mark.parametrize(
    "request_", [{"sell": "5"}, {"cancel": None}, {"contract_update": 1, "contract_id": 5}]
)
async def test_a_doubt_that_does_not_say_what_was_asked_for_is_refused(
    autojump_clock: Any, request_: Request
) -> None:
    async with open_world() as world:
        with pytest.raises(derivtrio.InvalidRequest, match="does not say"):
            await world.client.reconcile(OutcomeUnknown("?", request_, 1, 0))
