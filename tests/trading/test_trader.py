"""What was bought, sold, cancelled and updated."""

from decimal import Decimal
from typing import Any

import pytest
from bank import PARAMETERS, answering

import derivtrio
from derivtrio import OutcomeUnknown
from tests.trading.world import open_world


@pytest.mark.parametrize("strings", [False, True])
async def test_a_proposal_is_bought_by_its_id(autojump_clock: Any, *, strings: bool) -> None:
    async with open_world(strings=strings) as world:
        async with world.client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
            purchase = await world.client.buy(proposal)
    expected = Decimal("10.00") if strings else 10
    assert type(proposal.ask_price) is type(purchase.buy_price) is type(expected)
    assert (proposal.ask_price, proposal.connection) == (expected, 1)
    assert (purchase.contract_id, purchase.transaction_id) == (1001, 2001)
    assert (purchase.buy_price, purchase.balance_after) == (expected, 100)
    assert purchase.shortcode == f"CALL_R_100_20.00_{world.bank.now}_5T_S0P_0"
    [(_, request)] = world.server.asked("buy")
    assert (request["buy"], request["price"]) == (proposal.id, 10)


async def test_parameters_are_bought_with_a_limit(autojump_clock: Any) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, price=Decimal("10.50"))
    assert purchase.contract_id == 1001
    [(_, request)] = world.server.asked("buy")
    assert (request["buy"], request["price"], request["parameters"]) == ("1", 10.5, PARAMETERS)


@pytest.mark.parametrize(
    ("generation", "name"), [("v3", "symbol"), ("options", "underlying_symbol")]
)
async def test_the_symbol_goes_by_the_name_that_the_server_knows(
    autojump_clock: Any, generation: Any, name: str
) -> None:
    async with open_world(generation=generation) as world:
        for given in ("symbol", "underlying_symbol"):
            words = {k: v for k, v in PARAMETERS.items() if k != "symbol"} | {given: "R_100"}
            await world.client.buy(words, 10)
            async with world.client.proposal(**words) as prices:
                await anext(prices)
        await world.client.buy({**words, "symbol": "R_100", "underlying_symbol": "R_100"}, 10)
    requests = [r["parameters"] for _, r in world.server.asked("buy")]
    requests += [r for _, r in world.server.asked("proposal")]
    assert len(requests) == 5
    assert all(r[name] == "R_100" for r in requests)
    other = "symbol" if name == "underlying_symbol" else "underlying_symbol"
    assert not any(other in r for r in requests)


async def test_a_contract_is_sold_cancelled_and_given_limits(autojump_clock: Any) -> None:
    async with open_world() as world:
        client = world.client
        one = await client.buy(PARAMETERS, 10)
        other = await client.buy(PARAMETERS, 10)
        limits = await client.update_contract(one, take_profit=Decimal("5.5"), stop_loss=None)
        sale = await client.sell(one.contract_id, price=7)
        back = await client.cancel(other)
    assert (limits.take_profit, limits.stop_loss) == (5.5, None)
    assert sale == derivtrio.Sale(1001, 6001, 2001, 7.5, 100)
    assert back.contract_id == 1002
    [(_, update)] = world.server.asked("contract_update")
    assert update["limit_order"] == {"take_profit": 5.5, "stop_loss": None}
    assert world.server.asked("sell")[0][1]["price"] == 7


async def test_a_refusal_means_that_nothing_was_bought(autojump_clock: Any) -> None:
    async with open_world(answering("PriceMoved", executing=False)) as world:
        with pytest.raises(derivtrio.ApiError, match="PriceMoved"):
            await world.client.buy(PARAMETERS, 10)
        assert world.client.doubts == ()


async def test_bad_arguments_are_refused_before_anything_is_sent(autojump_clock: Any) -> None:
    async with open_world() as world:
        client = world.client
        async with client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
        before = len(world.server.received)
        bad: list[Any] = [
            (client.buy, (PARAMETERS,), "price says"),
            (client.buy, ("an id", 10), "mapping"),
            (client.buy, ({**PARAMETERS, "symbol": ""}, 10), "needs symbol"),
            (client.buy, ({"symbol": "R_100"}, 10), "contract_type and currency"),
            (client.buy, ({**PARAMETERS, "duraton": 5}, 10), "duration"),
            (client.buy, (PARAMETERS, -1), "0 or more"),
            (client.buy, (PARAMETERS, "10"), "an amount"),
            (client.buy, (PARAMETERS, float("nan")), "an amount"),
            (client.buy, (PARAMETERS, 10**400), "a number of more than 20 digits"),
            (client.buy, (PARAMETERS, -(10**5000)), "a number of more than 20 digits"),
            (client.buy, (PARAMETERS, Decimal("NaN")), "an amount"),
            (client.buy, (PARAMETERS, Decimal("sNaN")), "an amount"),
            (client.buy, (PARAMETERS, Decimal("1E+400")), "an amount"),
            (client.sell, (5, Decimal("sNaN")), "an amount"),
            (client.buy, ({**PARAMETERS, "underlying_symbol": "R_50"}, 10), "not both"),
            (client.buy, (proposal, True), "an amount"),
            (client.sell, ("5",), "contract_id"),
            (client.cancel, (None,), "contract_id"),
            (client.update_contract, (5,), "take_profit"),
            (client.reconcile, (ValueError(),), "OutcomeUnknown"),
            (client.reconcile, (OutcomeUnknown("?", {"topup_virtual": 1}, 1, 0),), "own way"),
        ]
        for method, arguments, text in bad:
            with pytest.raises(derivtrio.InvalidRequest, match=text):
                await method(*arguments)
        with pytest.raises(derivtrio.InvalidRequest, match="an amount"):
            await client.update_contract(5, stop_loss=float("inf"))
        for listing in (client.statement, client.profit_table):
            with pytest.raises(derivtrio.InvalidRequest, match="date_from"):
                listing(date_from="today")  # type: ignore[arg-type]
            with pytest.raises(derivtrio.InvalidRequest, match="date_from"):
                listing(date_from=10**20)
        with pytest.raises(derivtrio.InvalidRequest, match="action_type"):
            client.statement(action_type="bought")
        with pytest.raises(derivtrio.InvalidRequest, match="a mapping"):
            client.proposal("CALL")  # type: ignore[arg-type]
        with pytest.raises(derivtrio.InvalidRequest, match="contract_type"):
            client.proposal(PARAMETERS, contract_type="UP")
        with pytest.raises(derivtrio.InvalidRequest, match="symbol"):
            client.proposal(contract_type="CALL", currency="USD")
        with pytest.raises(derivtrio.InvalidRequest, match="one symbol"):
            client.proposal(PARAMETERS, underlying_symbol="R_50")
        trades = [r for _, r in world.server.received[before:] if "forget" not in r]
    assert trades == []
