"""Whether a contract was sold, or cancelled, by the request in doubt."""

import pickle
from typing import Any

import pytest
import trio
from bank import PARAMETERS, Fault, lost_after, lost_before
from scripted import Peer, Request

import derivtrio
from derivtrio import Ambiguous, NotSold, OutcomeUnknown, Sold
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


@pytest.mark.parametrize("first", ["sell", "cancel"])
@pytest.mark.parametrize("status", ["sold", "cancelled"])
async def test_of_a_sale_and_a_cancellation_in_doubt_the_end_shows_which_it_was(
    autojump_clock: Any, first: str, status: str
) -> None:
    async with open_world(lost_before) as world:
        purchase, sale = await doubtful_sale(world, "sell")
        world.bank.faults.append(lost_before)
        with pytest.raises(derivtrio.OutcomeUnknown) as caught:
            await world.client.cancel(purchase)
        world.bank.sell({"sell": purchase.contract_id}, status)
        doubts = {"sell": sale, "cancel": caught.value}
        for name in (first, *({"sell", "cancel"} - {first})):
            outcome = await world.client.reconcile(doubts[name])
            assert isinstance(outcome, Sold if (name == "sell") == (status == "sold") else NotSold)


@pytest.mark.parametrize("status", [None, "knocked out"])
async def test_an_end_of_which_the_server_does_not_say_how_it_came_is_no_proof_of_a_sale(
    autojump_clock: Any, status: Any
) -> None:
    """Deriv's schemas allow null; its backend gives it to a multiplier that a limit has closed."""
    async with open_world(lost_before) as world:
        purchase, unknown = await doubtful_sale(world, "sell")
        world.bank.sell({"sell": purchase.contract_id}, status)
        outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Ambiguous)
    assert "the server does not say that it was sold on request" in outcome.how


@pytest.mark.parametrize("name", ["sell", "cancel"])
async def test_a_refusal_of_a_sale_that_comes_late_is_its_outcome(
    autojump_clock: Any, name: str
) -> None:
    async def refused_late(peer: Peer, request: Request, execute: Any) -> None:
        await trio.sleep(32)
        await peer.refuse(request, "NoOpenPosition", "It is over.")

    async with open_world(refused_late) as world:
        _, unknown = await doubtful_sale(world, name)
        outcome = await world.client.reconcile(unknown)
    assert outcome == NotSold("the server's answer came after all: NoOpenPosition: It is over.")


async def outcomes_of_sales(kind: str, *prices: float) -> list[Any]:
    """Return what became of sales at these prices, the last of which was executed, at 7.5."""
    async with open_world() as world:
        purchase = await world.client.buy({**PARAMETERS, "contract_type": kind}, 10)
        world.bank.contracts[purchase.contract_id]["contract_type"] = kind
        world.bank.faults += [lost_before] * (len(prices) - 1) + [lost_after]
        unknowns = list[OutcomeUnknown]()
        for price in prices:
            with pytest.raises(OutcomeUnknown) as caught:
                await world.client.sell(purchase, price)
            unknowns.append(caught.value)
        return [await world.client.reconcile(unknown) for unknown in unknowns]


@pytest.mark.parametrize("kind", ["MULTUP", "MULTDOWN", "ACCU"])
@pytest.mark.parametrize("price", [0, 7.5, 7.51, 50])
async def test_g04_a_lower_price_than_was_asked_for_does_not_deny_a_sale(
    autojump_clock: Any, kind: str, price: float
) -> None:
    """Deriv closes a multiplier at the bid of the moment, whatever price the sale names."""
    [outcome] = await outcomes_of_sales(kind, price)
    assert isinstance(outcome, Sold)
    assert outcome.sale.sold_for == 7.5
    assert ("asked for at least" in outcome.how) == (price > 7.5)


async def test_g04_multipliers_sales_are_not_told_apart_by_their_prices(
    autojump_clock: Any,
) -> None:
    for prices in ((0, 50), (50, 0)):
        outcomes = await outcomes_of_sales("MULTUP", *prices)
        assert [type(outcome) for outcome in outcomes] == [Ambiguous, Ambiguous]


async def test_of_other_contracts_a_lower_price_raises_a_doubt_but_denies_nothing(
    autojump_clock: Any,
) -> None:
    [outcome] = await outcomes_of_sales("CALL", 50)
    assert isinstance(outcome, Ambiguous)
    outcomes = await outcomes_of_sales("CALL", 50, 0)
    assert [type(outcome) for outcome in outcomes] == [NotSold, Sold]


async def test_a_sale_at_a_time_that_is_not_known_is_neither_claimed_nor_denied(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_after) as world:
        purchase, unknown = await doubtful_sale(world, "sell")
        world.bank.statement.clear()
        del world.bank.contracts[purchase.contract_id]["sell_time"]
        assert isinstance(await world.client.reconcile(unknown), Ambiguous)


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


@pytest.mark.parametrize("shown", ["open", "none"])
async def test_g04_a_sale_that_the_statement_has_is_not_denied_because_the_contract_seems_open(
    autojump_clock: Any, shown: str
) -> None:
    """The server's states lag behind its books, for ever."""
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        before = dict(world.bank.contracts[purchase.contract_id]) if shown == "open" else {}
        world.bank.faults.append(lost_after)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.sell(purchase)

        async def handle(peer: Peer, request: Request) -> None:
            if "proposal_open_contract" in request:
                await peer.reply(request, proposal_open_contract=before)
            else:
                await world.bank.handle(peer, request)

        world.server.handle = handle
        outcome = await world.client.reconcile(caught.value)
    assert isinstance(outcome, Ambiguous)
    assert "the statement has its sale: transaction 6001, for 7.5" in outcome.how


async def test_a_contract_that_the_account_does_not_have_was_not_sold(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        purchase, unknown = await doubtful_sale(world, "sell")
        del world.bank.contracts[purchase.contract_id]
        outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, NotSold)
    assert outcome.how.startswith("the account has no such contract, ")


async def test_g04_a_copy_of_a_doubt_is_not_told_that_another_request_has_sold(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_after) as world:
        _, unknown = await doubtful_sale(world, "sell")
        copied = pickle.loads(pickle.dumps(unknown))
        assert isinstance(await world.client.reconcile(unknown), Sold)
        outcome = await world.client.reconcile(copied)
    assert isinstance(outcome, Ambiguous)
    assert "no record of the order" in outcome.how
