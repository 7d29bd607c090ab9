"""Whether a contract was sold, or cancelled, by the request in doubt."""

from typing import Any

import pytest
import trio
from bank import PARAMETERS, Fault, lost_before

import derivtrio
from derivtrio import NotSold, OutcomeUnknown, Sold
from tests.trading.world import EXECUTED, NOT_EXECUTED, doubtful_sale, open_world


@pytest.mark.parametrize("name", ["sell", "cancel"])
@pytest.mark.parametrize("fault", [*EXECUTED, *NOT_EXECUTED])
async def test_g04_a_sale_whose_reply_was_lost_is_cleared_up(
    autojump_clock: Any, name: str, fault: Fault
) -> None:
    async with open_world(fault) as world:
        _, unknown = await doubtful_sale(world, name)
        outcome = await world.client.reconcile(unknown)
        assert world.client.doubts == ()
    if fault in EXECUTED:
        assert isinstance(outcome, Sold)
        assert outcome.sale == derivtrio.Sale(1001, 6001, 2001, 7.5, 100)
    else:
        assert isinstance(outcome, NotSold)
        assert "open" in outcome.how
    assert len(world.server.asked(name)) == 1


async def test_a_contract_that_came_to_its_own_end_was_not_sold(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        purchase, unknown = await doubtful_sale(world, "sell")
        world.bank.sell({"sell": purchase.contract_id}, "won")
        outcome = await world.client.reconcile(unknown)
    assert outcome == NotSold("the contract came to its own end: it is won")


async def test_a_contract_sold_long_before_was_not_sold_by_this_request(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_before) as world:
        purchase = world.bank.buy({"parameters": PARAMETERS})["buy"]["contract_id"]
        world.bank.sell({"sell": purchase})
        await trio.sleep(60)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.sell(purchase)
        assert isinstance(await world.client.reconcile(caught.value), NotSold)
