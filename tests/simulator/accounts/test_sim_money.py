"""Money is neither made nor lost, whatever is done."""

from decimal import Decimal
from typing import Any

import attrs
import deriv_schemas
from asking import answers
from hypothesis import given, settings
from hypothesis import strategies as st
from sim_trades import ACCUMULATOR, LASTING, MULTIPLIER, RISE
from wire_peer import START

from derivtrio.api.codec import decode, encode
from derivtrio.simulator import SCOPES, Account, Market, demo_account
from derivtrio.simulator.sessions.session import Backend, ServerSession

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
    session = ServerSession(Backend(1, Market(1), {LOGINID: account}), number=1)
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


def check_contracts(session: ServerSession, epoch: int, rows: list[dict[str, Any]]) -> None:
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


REAL = "CR2000001"
WHO = st.tuples(st.sampled_from([LOGINID, REAL]), st.integers(0, 2))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.builds(Step, REQUESTS, st.integers(0, 90)), WHO), max_size=25))
def test_each_connection_is_told_of_each_change_of_its_accounts_once_and_in_order(
    steps: list[tuple[Step, tuple[str, int]]],
) -> None:
    backend = two_accounts()
    sessions = [connected(backend, number) for number in (1, 2, 3)]
    told = dict[tuple[int, str, str], list[Decimal]]()
    epoch = START
    for step, (loginid, which) in [*steps, (Step({"topup_virtual": 1}, 1000), (LOGINID, 0))]:
        epoch += step.seconds
        answers(sessions[which], step.request | {"loginid": loginid}, epoch)
        note_changes(sessions, epoch, told)
    for session in sessions:
        for loginid, ledger in backend.broker.ledgers.items():
            balances = [entry.balance_after for entry in ledger.transactions]
            assert told.get((session.number, "balance", loginid), []) == balances
            assert told.get((session.number, "transaction", loginid), []) == balances


def two_accounts() -> Backend:
    real = Account(REAL, Decimal("300.00"), {"real-token": SCOPES}, is_virtual=False)
    return Backend(1, Market(1), {LOGINID: demo_account(), REAL: real})


def connected(backend: Backend, number: int) -> ServerSession:
    """Return a session with both accounts, and streams of their balances and transactions."""
    session = ServerSession(backend, number)
    backend.sessions[number] = session
    answers(session, {"authorize": "demo-token", "tokens": ["real-token"]}, START)
    for loginid in (LOGINID, REAL):
        for call in ("balance", "transaction"):
            assert ask(session, {call: 1, "subscribe": 1, "loginid": loginid}, START)
    return session


def note_changes(
    sessions: list[ServerSession], epoch: int, told: dict[tuple[int, str, str], list[Decimal]]
) -> None:
    """Note the balances that each stream tells."""
    for session in sessions:
        for message in session.streams.due_messages(epoch):
            key = session.number, message["msg_type"], message["echo_req"]["loginid"]
            told.setdefault(key, []).append(message[message["msg_type"]]["balance"])


EPOCHS = st.integers(START - 10, START + 10**6) | st.integers(1, 9999999999)
AMOUNTS = st.floats(0, 1e300) | st.integers(0, 10**4) | CENTS
LIMITS = st.dictionaries(st.sampled_from(["take_profit", "stop_loss"]), AMOUNTS)
BARRIERS = st.from_regex(r"\A[+-]?[0-9]{1,9}(\.[0-9]{0,4})?\Z")
SYMBOLS = ["R_100", "frxEURUSD", "stpRNG", "RDBULL", "BOOM1000"]
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "amount": AMOUNTS,
    "barrier": BARRIERS,
    "basis": st.sampled_from(["stake", "payout"]),
    "cancellation": st.sampled_from(["5m", "x"]),
    "date_expiry": EPOCHS,
    "duration": st.integers(0, 100) | st.integers(0, 99999999),
    "duration_unit": st.sampled_from("dmsht"),
    "growth_rate": st.sampled_from([0.01, 0.05]) | st.floats(-1e300, 1e300),
    "limit_order": LIMITS,
    "multiplier": AMOUNTS,
    "symbol": st.sampled_from(SYMBOLS),
}
CHANGES = st.lists(
    st.sampled_from(sorted(FIELDS)).flatmap(lambda name: st.tuples(st.just(name), FIELDS[name])),
    max_size=3,
).map(dict)
PARAMETERS = st.builds(lambda order, changes: order | changes, ORDERS, CHANGES)


def test_whatever_is_asked_for_is_sold_or_refused() -> None:
    sold, codes = set(), set()

    @settings(max_examples=400)
    @given(PARAMETERS, st.integers(0, 10**6))
    def check(parameters: dict[str, Any], offset: int) -> None:
        session = ServerSession(Backend(1, Market(1), {LOGINID: demo_account()}), number=1)
        ask(session, {"authorize": "demo-token"}, START)
        request = {"buy": "1", "price": 10**9, "parameters": parameters}
        message = ask(session, request, START + offset)
        if "error" in message:
            codes.add(message["error"]["code"])
            return
        sold.add(parameters["contract_type"])
        look_up = {"proposal_open_contract": 1, "contract_id": message["buy"]["contract_id"]}
        for later in (0, 1, 100, 10**5):
            assert "error" not in ask(session, look_up, START + offset + later)

    check()
    assert sold == {"CALL", "PUTE", "DIGITDIFF", "MULTUP", "MULTDOWN", "ACCU"}
    assert len(codes) >= 3


def ask(session: ServerSession, request: dict[str, Any], epoch: int) -> dict[str, Any]:
    (message,) = answers(session, request, epoch)
    answered: dict[str, Any] = decode(encode(message))
    if deriv_schemas.available():
        deriv_schemas.check_message(answered)
    return answered


def exact(number: float) -> Decimal:
    return round(Decimal(str(number)), 2)
