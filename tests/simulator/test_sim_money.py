"""Money is neither made nor lost, whatever is done."""

from decimal import Decimal
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from test_sim_calls import answers
from test_sim_contracts import ACCUMULATOR, MULTIPLIER
from test_sim_trading import LASTING, RISE
from wire_peer import START

from derivtrio.codec import decode, encode
from derivtrio.simulator import Market, demo_account
from derivtrio.simulator.session import Session, World

LOGINID = "VRTC1000001"
CENTS = st.integers(35, 30000).map(lambda cents: cents / 100)
ORDERS = st.sampled_from(
    [
        RISE,
        LASTING,
        RISE | {"contract_type": "DIGITDIFF", "barrier": "7", "duration": 1},
        LASTING | {"contract_type": "PUTE", "barrier": "+0.1", "basis": "payout"},
        MULTIPLIER,
        MULTIPLIER | {"cancellation": "5m", "contract_type": "MULTDOWN"},
        MULTIPLIER | {"limit_order": {"take_profit": 1, "stop_loss": 0.35}},
        ACCUMULATOR,
        ACCUMULATOR | {"growth_rate": 0.05, "limit_order": {"take_profit": 1}},
    ]
)
#: Contracts are meant by their numbers: the first was bought first.
NUMBERS = st.integers(310_000_000_001, 310_000_000_012)


@attrs.frozen
class Step:
    """A request, so many seconds after the one before."""

    request: dict[str, Any]
    seconds: int


def _buy(order: dict[str, Any], amount: float) -> dict[str, Any]:
    return {"buy": "1", "price": 10**6, "parameters": order | {"amount": amount}}


REQUESTS = st.one_of(
    st.builds(_buy, ORDERS, CENTS),
    st.builds(_buy, ORDERS, CENTS),
    st.builds(lambda number: {"sell": number, "price": 0}, NUMBERS),
    st.builds(lambda number: {"cancel": number}, NUMBERS),
    st.builds(
        lambda number, amount: {
            "contract_update": 1,
            "contract_id": number,
            "limit_order": {"take_profit": amount},
        },
        NUMBERS,
        CENTS,
    ),
    st.just({"topup_virtual": 1}),
)
STEPS = st.lists(st.builds(Step, REQUESTS, st.integers(0, 90)), max_size=25)


@given(STEPS, st.integers(0, 10**6))
def test_the_balance_is_the_opening_balance_and_the_statement(
    steps: list[Step], offset: int
) -> None:
    account = demo_account()
    session = Session(World(1, Market(1), {LOGINID: account}), number=1)
    ask(session, {"authorize": "demo-token"}, START)
    epoch = START + offset
    for step in steps:
        epoch += step.seconds
        ask(session, step.request, epoch)
        assert account.balance >= 0
    epoch += 1000
    rows = ask(session, {"statement": 1, "limit": 999}, epoch)["statement"]["transactions"]
    total = sum((exact(row["amount"]) for row in rows), Decimal("10000.00"))
    assert total == account.balance
    assert exact(ask(session, {"balance": 1}, epoch)["balance"]["balance"]) == total
    check_rows(rows)
    check_contracts(session, epoch, rows)


def check_rows(rows: list[dict[str, Any]]) -> None:
    """Hold each balance against the one before, and the times against their order."""
    balance, time = Decimal("10000.00"), 0
    for row in reversed(rows):
        balance += exact(row["amount"])
        assert exact(row["balance_after"]) == balance == round(balance, 2)
        assert row["transaction_time"] >= time
        time = row["transaction_time"]
    assert len({row["transaction_id"] for row in rows}) == len(rows)


def check_contracts(session: Session, epoch: int, rows: list[dict[str, Any]]) -> None:
    """Find each contract in the portfolio or in the profit table, with the money of its rows."""
    held = ask(session, {"portfolio": 1}, epoch)["portfolio"]["contracts"]
    closed = ask(session, {"profit_table": 1, "limit": 500}, epoch)["profit_table"]["transactions"]
    flows: dict[int, list[Decimal]] = {}
    for row in reversed(rows):
        if row["contract_id"] is not None:
            flows.setdefault(row["contract_id"], []).append(exact(row["amount"]))
    expected = {each["contract_id"]: [-exact(each["buy_price"])] for each in held} | {
        each["contract_id"]: [-exact(each["buy_price"]), exact(each["sell_price"])]
        for each in closed
    }
    assert len(held) + len(closed) == len(flows)
    assert flows == expected


def ask(session: Session, request: dict[str, Any], epoch: int) -> dict[str, Any]:
    (message,) = answers(session, request, epoch)
    answered: dict[str, Any] = decode(encode(message))
    return answered


def exact(number: float) -> Decimal:
    return round(Decimal(str(number)), 2)
