"""Whether a contract has the limits that an update in doubt asked for."""

from typing import Any

import pytest
from bank import PARAMETERS, Fault, lost_before

from derivtrio import Ambiguous, NotUpdated, OutcomeUnknown, Updated
from tests.trading.world import EXECUTED, NOT_EXECUTED, open_world


@pytest.mark.parametrize("fault", [*EXECUTED, *NOT_EXECUTED])
async def test_g04_an_update_whose_reply_was_lost_is_cleared_up(
    autojump_clock: Any, fault: Fault
) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        await world.client.update_contract(purchase, take_profit=4)
        world.bank.faults.append(fault)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.update_contract(purchase, take_profit=None, stop_loss=3)
        outcome = await world.client.reconcile(caught.value)
    if fault in EXECUTED:
        assert isinstance(outcome, Updated)
        assert (outcome.limits.take_profit, outcome.limits.stop_loss) == (None, 3)
    else:
        assert isinstance(outcome, NotUpdated)


async def test_the_limits_of_a_contract_that_is_over_cannot_be_told(autojump_clock: Any) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        world.bank.faults.append(lost_before)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.update_contract(purchase, stop_loss=3)
        world.bank.sell({"sell": purchase.contract_id})
        assert isinstance(await world.client.reconcile(caught.value), Ambiguous)
