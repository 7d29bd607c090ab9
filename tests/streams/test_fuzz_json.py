"""G18: JSON of every wrong shape, into the router, the streams of every kind, and the models."""

import math
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derivtrio.api import parsing, trades
from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls.routing import Router
from derivtrio.errors import DerivError, api_error
from derivtrio.models import Candle, Tick
from derivtrio.policy.rate_limits import budgets_for
from derivtrio.streams.candles import CandleTranslator
from derivtrio.streams.holes import Filler, Hole
from derivtrio.streams.snapshots import (
    BalanceTranslator,
    ContractTranslator,
    ProposalTranslator,
    StatusTranslator,
    UntypedContractTranslator,
)
from derivtrio.streams.ticks import TickTranslator
from derivtrio.streams.transactions import TransactionTranslator
from derivtrio.streams.upstream import Upstream

#: What JSON can hold, and what stands where something else should.
odd: Any = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([0, 1, -1, 10**20, 10**400, 2**63, 1_700_000_000, 9_999_999_999]),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["NaN", "Infinity", "-1e999", "1_0", "5", "1.5", "", "R_100"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=3,
)

GOOD: dict[str, dict[str, Any]] = {
    "tick": {"symbol": "R_100", "epoch": 5, "quote": 1.5, "ask": 1.6, "bid": 1.4, "pip_size": 2},
    "ohlc": {"open_time": 60, "epoch": 65, "open": "1", "high": "2", "low": "1", "close": "1.5"},
    "balance": {"balance": 5, "currency": "USD", "loginid": "CR1"},
    "proposal": {"id": "x", "ask_price": 5, "payout": 9, "spot": 1, "spot_time": 5, "longcode": ""},
    "transaction": {
        "transaction_id": 5,
        "action": "buy",
        "amount": 1,
        "balance": 1,
        "transaction_time": 5,
        "contract_id": 6,
        "symbol": "R_100",
        "longcode": "",
    },
    "proposal_open_contract": {
        "contract_id": 5,
        "is_sold": 0,
        "is_expired": 0,
        "status": "open",
        "buy_price": 5,
        "profit": "1.0",
        "entry_spot": 1,
        "barrier": "+1",
        "purchase_time": 5,
        "limit_order": {},
        "is_valid_to_sell": 1,
        "currency": "USD",
        "shortcode": "",
        "underlying": "R_100",
    },
}


def translators() -> dict[str, Any]:
    return {
        "tick": TickTranslator("R_100"),
        "ohlc": CandleTranslator("R_100", 60),
        "balance": BalanceTranslator(),
        "proposal": ProposalTranslator({}, lambda: 1),
        "transaction": TransactionTranslator(),
        "proposal_open_contract": ContractTranslator(),
    }


@st.composite
def messages(draw: Any) -> dict[str, Any]:
    """A message of a stream, of which something is wrong."""
    kind = draw(st.sampled_from(sorted(GOOD)))
    payload: Any = dict(GOOD[kind])
    for name in draw(st.lists(st.sampled_from(sorted(payload)), max_size=3)):
        payload[name] = draw(odd)
    if draw(st.booleans()):
        payload.pop(draw(st.sampled_from(sorted(payload))))
    message = {kind: draw(st.one_of(st.just(payload), st.just(payload), odd))}
    for name in draw(st.lists(st.sampled_from(["req_id", "echo_req", "subscription", "error"]))):
        message[name] = draw(odd)
    return message


@settings(max_examples=60)
@given(st.lists(messages(), max_size=3))
def test_g18_no_wrong_value_gets_into_a_model(fed: list[dict[str, Any]]) -> None:
    table = translators()
    for message in fed:
        for kind, translator in table.items():
            try:
                items = translator.feed(message)
            except UNREADABLE:
                translator.skip()
                assert kind not in message or message[kind] != GOOD[kind]
                continue
            for item in items:
                check(item)
    UntypedContractTranslator().feed(message={} if not fed else fed[0])
    StatusTranslator(lambda _: None).feed({} if not fed else fed[0])


def check(item: Any) -> None:
    """Check that each member of a model is of its kind, and finite."""
    for name in getattr(item, "__struct_fields__", ()):
        value = getattr(item, name)
        if isinstance(value, float | Decimal):
            assert math.isfinite(value), (item, name)
    if isinstance(item, Tick | Candle):
        made = msgspec.convert(msgspec.to_builtins(item), type(item), strict=True)
        assert made == item
        assert 0 <= item.epoch <= 9_999_999_999


@settings(max_examples=60)
@given(
    st.lists(st.dictionaries(st.sampled_from(["req_id", "echo_req", "subscription", "tick"]), odd))
)
def test_g18_the_router_takes_any_message(fed: list[dict[str, Any]]) -> None:
    router = Router()
    left: list[str] = []
    upstream = Upstream("ticks", {"ticks": "R_100"}, lambda _: None, left.append)
    req_id = router.register(upstream)
    for message in [{"req_id": req_id, "subscription": {"id": "a"}}, *fed]:
        router.route(message)
        router.route({**message, "req_id": req_id})
    router.route_all([{**message, "req_id": req_id} for message in fed])
    assert len(upstream.ids) <= 8


@settings(max_examples=60)
@given(odd, odd, st.lists(odd, max_size=4), st.lists(odd, max_size=4))
def test_g18_any_history_is_read_or_refused(time: Any, pip: Any, times: Any, prices: Any) -> None:
    for hole in (Hole("R_100", 5, 100), Hole("R_100", 5, None), Hole("R_100", 60, 600, 60)):
        filler = Filler(hole)
        row = {"epoch": time, "open": pip, "high": 1, "low": 1, "close": 1}
        reply = {"time": time, "history": {"times": times, "prices": prices}, "pip_size": pip}
        for each in (reply, {**reply, "candles": [row]}, {"history": time, "candles": pip}):
            try:
                items, _ = filler.take(each)
            except UNREADABLE:
                continue
            for item in items:
                check(item)


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from(["buy", "sell", "cancel", "contract_id", "error"]), odd), odd
)
def test_g18_a_trades_reply_is_read_or_refused(reply: dict[str, Any], value: Any) -> None:
    row = dict.fromkeys(
        "contract_id transaction_id buy_price sell_price purchase_time transaction_time amount"
        " action_type sold_for balance_after payout shortcode longcode currency".split(),
        value,
    )
    readers = (
        trades.purchase_in,
        trades.sale_in,
        trades.transaction_in,
        trades.position_in,
        trades.closed_contract_in,
        lambda payload: trades.limits_in(5, payload),
    )
    for read in readers:
        for payload in (reply, row, {"buy": row}, {"sell": row}, value):
            with suppress(UNREADABLE):
                check(read(payload))
    trades.contract_of({"buy": value})
    assert isinstance(api_error(value), DerivError)


@settings(max_examples=60)
@given(odd, odd)
def test_g18_absurd_limits_leave_budgets_that_work(minutely: Any, hourly: Any) -> None:
    budgets = budgets_for("v3", advertised=True)
    limits = {"minutely": minutely, "hourly": hourly}
    for status in (minutely, {"api_call_limits": minutely}):
        budgets.learn({"website_status": status}, 0.0)
    budgets.learn({"website_status": {"api_call_limits": {"max_requestes_general": limits}}}, 0.0)
    assert budgets.admit("time", 1, 1.0)
    _, until = budgets.limiting("time", 1, 1.0)
    assert until < 2 * 3700


@pytest.mark.parametrize("depth", [100, 400, 900])
def test_g18_what_is_nested_deeply_is_shown_in_a_line(depth: int) -> None:
    deep: Any = []
    for _ in range(depth * 100):
        deep = [deep]
    for read in (parsing.exact, parsing.whole, parsing.text_of, parsing.named, parsing.flag):
        with pytest.raises(UNREADABLE) as caught:
            read(deep)
        assert len(str(caught.value)) < 200
