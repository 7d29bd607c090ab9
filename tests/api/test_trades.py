"""Trades and contracts of the server, read into models: exactly, or not at all."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from derivtrio.api.parsing import UNREADABLE
from derivtrio.api.trades import (
    closed_contract_in,
    contract_in,
    limits_in,
    position_in,
    purchase_from,
    purchase_in,
    sale_in,
    transaction_in,
)

CODE = "DIGITEVEN_R_10_1.96_1585708464_1T"

PURCHASE = {
    "contract_id": 7,
    "transaction_id": 8,
    "buy_price": 10,
    "payout": 19.53,
    "balance_after": 90,
    "purchase_time": 1000,
    "shortcode": CODE,
    "longcode": "Win.",
}
SALE = {
    "contract_id": 7,
    "transaction_id": 9,
    "reference_id": 8,
    "sold_for": 9.5,
    "balance_after": 99.5,
}
ROW = {
    "transaction_id": 8,
    "action_type": "buy",
    "amount": -10,
    "balance_after": 90,
    "transaction_time": 1000,
    "contract_id": 7,
    "reference_id": None,
    "payout": 19.53,
    "shortcode": CODE,
    "longcode": "Win.",
}
CONTRACT_ROW = {name: value for name, value in PURCHASE.items() if name != "balance_after"}
POSITION = {**CONTRACT_ROW, "contract_type": "CALL", "symbol": "R_100", "currency": "USD"}
CLOSED = {**CONTRACT_ROW, "sell_price": 19.53, "sell_time": 1010}
CONTRACT = {
    "contract_id": 7,
    "contract_type": "CALL",
    "status": "open",
    "currency": "USD",
    "buy_price": 10,
    "entry_spot": 1.5,
    "exit_spot": 1.6,
    "barrier": "1.5",
    "purchase_time": 1000,
    "date_expiry": 1010,
    "sell_time": 1010,
    "shortcode": CODE,
    "longcode": "Win.",
}
LIMITS = {"take_profit": {"order_amount": 5}, "stop_loss": {"order_amount": -3}}

#: Each reader, with a payload that it can read.
READERS: list[tuple[Callable[[Any], Any], dict[str, Any]]] = [
    (lambda payload: purchase_in({"buy": payload}), PURCHASE),
    (lambda payload: sale_in({"sell": payload}), SALE),
    (lambda payload: sale_in({"cancel": payload}), SALE),
    (transaction_in, ROW),
    (position_in, POSITION),
    (closed_contract_in, CLOSED),
    (contract_in, CONTRACT),
    (lambda payload: limits_in(7, payload), LIMITS),
]

#: What no member of these payloads may be.
ODD = [[], [1], {}, {"a": [1]}, "odd", math.nan, math.inf, -math.inf, "NaN", "Infinity", "1" * 5000]

#: Members that are texts; and those that are read as nothing if they are odd.
TEXTS = "barrier contract_type currency longcode shortcode status".split()
ANYTHING = "action_type symbol take_profit stop_loss".split()


@pytest.mark.parametrize(("read", "payload"), READERS)
@pytest.mark.parametrize("odd", ODD)
def test_g18_a_value_of_a_wrong_type_gets_into_no_model(
    read: Callable[[Any], Any], payload: dict[str, Any], odd: Any
) -> None:
    read(payload)
    for name in payload:
        if name in ANYTHING or (name in TEXTS and isinstance(odd, str)):
            continue
        with pytest.raises(UNREADABLE):
            read({**payload, name: odd})


@pytest.mark.parametrize(("read", "_payload"), READERS)
@pytest.mark.parametrize("odd", [None, 1, "text", [], [1], [{}], True])
def test_g18_a_payload_that_is_no_object_is_unreadable(
    read: Callable[[Any], Any], _payload: object, odd: Any
) -> None:
    with pytest.raises(UNREADABLE):
        read(odd)


@pytest.mark.parametrize("odd", [math.nan, "a lot", [1], {}])
def test_g18_a_limit_is_an_amount(odd: Any) -> None:
    with pytest.raises(UNREADABLE):
        limits_in(7, {"take_profit": {"order_amount": odd}})
    assert limits_in(7, {"take_profit": odd if isinstance(odd, dict) else 5}).take_profit is None


@pytest.mark.parametrize(
    ("bought", "sold", "profit"),
    [
        (10, 19.53, "9.53"),
        (0.35, 0.3, "-0.05"),
        ("10.00", "19.53", "9.53"),
        ("10.00", 19.53, "9.53"),
        (10.0, 0, "-10.0"),
    ],
)
def test_a_profit_is_exact(bought: Any, sold: Any, profit: str) -> None:
    closed = closed_contract_in({**CLOSED, "buy_price": bought, "sell_price": sold})
    assert type(closed.profit) is Decimal
    assert closed.profit == Decimal(profit)


def test_a_sum_of_profits_is_exact() -> None:
    closed = closed_contract_in({**CLOSED, "buy_price": 0.3, "sell_price": 0.4})
    assert sum(each.profit for each in [closed] * 1000) == 100


def test_a_transaction_and_a_closed_contract_know_their_symbol() -> None:
    assert transaction_in(ROW).symbol == closed_contract_in(CLOSED).symbol == "R_10"
    assert transaction_in({**ROW, "symbol": "R_25"}).symbol == "R_25"
    assert closed_contract_in({**CLOSED, "underlying_symbol": "R_50"}).symbol == "R_50"
    deposit = {**ROW, "action_type": "deposit", "contract_id": None, "shortcode": None}
    assert transaction_in(deposit).symbol == ""


def test_a_deposit_is_no_purchase() -> None:
    deposit = transaction_in({**ROW, "action_type": "deposit", "contract_id": None})
    with pytest.raises(ValueError, match="about no contract"):
        purchase_from(deposit)


#: The same contract, as v3 and as the Options API write it.
_V3 = {
    "contract_id": 7,
    "underlying": "R_100",
    "entry_tick": 1184.9,
    "exit_tick": 1185.33,
    "barrier": "1184.90",
    "sell_time": 1782000011,
    "is_valid_to_sell": 0,
    "limit_order": {"take_profit": {"order_amount": 5}},
}
_OPTIONS = {
    "contract_id": 7,
    "underlying_symbol": "R_100",
    "entry_spot": "1184.90",
    "exit_spot": "1185.33",
    "barrier": "1184.90",
    "sell_time": 1782000011,
    "is_valid_to_sell": 0,
    "limit_order": {"take_profit": {"order_amount": "5.00"}},
}


@pytest.mark.parametrize("payload", [_V3, _OPTIONS])
def test_both_generations_say_the_same_of_a_contract(payload: dict[str, Any]) -> None:
    contract = contract_in(payload)
    spots = [contract.entry_spot, contract.exit_spot]
    assert [Decimal(str(spot)) for spot in spots] == [Decimal("1184.90"), Decimal("1185.33")]
    assert (contract.symbol, contract.barrier, contract.sell_time) == (
        "R_100",
        "1184.90",
        1782000011,
    )
    assert contract.is_valid_to_sell is False
    assert contract.limit_order == payload["limit_order"]


def test_what_a_contract_does_not_have_yet_is_none() -> None:
    contract = contract_in({"contract_id": 7, "entry_spot": None, "entry_tick": 1.5, "barrier": 5})
    assert (contract.entry_spot, contract.exit_spot, contract.barrier) == (1.5, None, "5")
    assert (contract.sell_time, contract.limit_order) == (None, None)
    assert contract_in({"contract_id": 7, "is_valid_to_sell": 1}).is_valid_to_sell is True
