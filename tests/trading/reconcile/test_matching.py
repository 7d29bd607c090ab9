"""Which purchase is the one in doubt: decided from data."""

from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derivtrio.models import Purchase
from derivtrio.trading.reconcile.matching import Fit, Order, decide, fit_of

PARAMETERS = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
}
UNTIL = {"duration": None, "duration_unit": None}
MULTIPLIER = {**UNTIL, "contract_type": "MULTUP", "multiplier": 30}
ACCUMULATOR = {**UNTIL, "contract_type": "ACCU", "growth_rate": 0.01}
PURCHASE = Purchase(1, 101, 10, 19.5, 990, 1000, "CALL_R_100_19.50_1000_5T_S0P_0", "")


def order(price: Any = 10, earliest: float = 990, latest: float = 1020, **changes: Any) -> Order:
    return Order({**PARAMETERS, **changes}, price, earliest, latest)


def purchase(number: int, **changes: Any) -> Purchase:
    return msgspec.structs.replace(
        PURCHASE, contract_id=number, transaction_id=100 + number, **changes
    )


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ({}, {}),
        ({"price": Decimal("10.00"), "amount": 10.0}, {"buy_price": Decimal("10.0")}),
        ({"amount": "10"}, {}),
        ({"amount": None}, {}),
        ({"basis": "lots", "amount": 11}, {}),
        ({"symbol": "r_100"}, {}),
        ({"symbol": None, "underlying_symbol": "R_100"}, {}),
        ({}, {"shortcode": ""}),
        (
            {"contract_type": "HIGHER", "barrier": "+0.30"},
            {"shortcode": "CALL_R_100_9_1_5T_S30P_0"},
        ),
        ({"contract_type": "HIGHER"}, {"shortcode": "HIGHER_R_100_9_1_5T_S30P_0"}),
        ({"barrier": "-1.5"}, {"shortcode": "CALL_R_100_9_1_5T_S-150P_0"}),
        ({"barrier": "1185.12"}, {"shortcode": "CALL_R_100_9_1_5T_1185120000_0"}),
        (
            {"contract_type": "DIGITMATCH", "barrier": "7"},
            {"shortcode": "DIGITMATCH_R_100_9_1_5T_7_0"},
        ),
        ({"duration": 2, "duration_unit": "m"}, {"shortcode": "CALL_R_100_90_1000_1120_S0P_0"}),
        ({"duration": 1, "duration_unit": "d"}, {"shortcode": "CALL_R_100_90_1000_99999F_S0P_0"}),
        ({"basis": "payout", "amount": 19.5}, {}),
        ({"basis": "payout", "amount": 7}, {"payout": None}),
        ({"cancellation": "60m", "price": 12}, {"buy_price": 11}),
        (
            {"contract_type": "MULTUP", "duration": None},
            {"shortcode": "MULTUP_R_100_10.00_30_100_0"},
        ),
        ({"duration": 120, "duration_unit": "s"}, {"shortcode": "CALL_R_100_9_1000_1120_S0P_0"}),
        ({**UNTIL, "date_expiry": 1600}, {"shortcode": "CALL_R_100_9_1000_1600_S0P_0"}),
        ({**UNTIL, "date_expiry": 86401}, {"shortcode": "CALL_R_100_9_1000_172799F_S0P_0"}),
        ({"date_start": 1500}, {"shortcode": "CALL_R_100_9_1500F_5T_S0P_0"}),
        (MULTIPLIER, {"shortcode": "MULTUP_R_100_10.00_30_1718717545_0_0.00"}),
        (MULTIPLIER, {"shortcode": "MULTUP_R_100_10.00_30_1718717545_4872355199_0_0.00_N1"}),
        (
            MULTIPLIER | {"cancellation": "1h", "price": 12},
            {"buy_price": 11, "shortcode": "MULTUP_R_100_10.00_30_1718717545_60m_0.00"},
        ),
        (
            MULTIPLIER | {"limit_order": {"take_profit": 6, "stop_loss": 3}},
            {"shortcode": "MULTUP_R_100_10.00_30_1718717545_4872355199_0_6.00_N1"},
        ),
        (ACCUMULATOR, {"shortcode": "ACCU_R_100_10.00_0_0.01_1_0.000612552024_1718716983"}),
    ],
)
def test_what_fits_fully(asked: dict[str, Any], made: dict[str, Any]) -> None:
    assert fit_of(order(**asked), msgspec.structs.replace(PURCHASE, **made)) is Fit.FULLY


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ({"amount": 9}, {}),
        ({"basis": "payout", "amount": 19}, {}),
        ({"cancellation": "60m", "price": 12, "amount": 11}, {}),
        ({"price": Decimal("9.99"), "amount": 9}, {}),
        ({"duration": 6}, {}),
        ({"duration_unit": "m"}, {}),
        ({}, {"shortcode": "CALL_R_100_90_1000_1120_S0P_0"}),
        ({"duration": 3, "duration_unit": "m"}, {"shortcode": "CALL_R_100_90_1000_1120_S0P_0"}),
        ({"barrier": "+0.3"}, {}),
        ({}, {"shortcode": "CALL_R_100_9_1_5T_S30P_0"}),
        ({"barrier": "-0.3"}, {"shortcode": "CALL_R_100_9_1_5T_S30P_0"}),
        ({"duration": 121, "duration_unit": "s"}, {"shortcode": "CALL_R_100_9_1000_1120_S0P_0"}),
        ({**UNTIL, "date_expiry": 1601}, {"shortcode": "CALL_R_100_9_1000_1600_S0P_0"}),
        ({**UNTIL, "date_expiry": 5}, {}),
        ({**UNTIL, "date_expiry": 86399}, {"shortcode": "CALL_R_100_9_1000_172799F_S0P_0"}),
        ({"date_start": 1501}, {"shortcode": "CALL_R_100_9_1500F_5T_S0P_0"}),
        (MULTIPLIER, {"shortcode": "MULTUP_R_100_10.00_50_1718717545_0_0.00"}),
        (MULTIPLIER, {"shortcode": "MULTUP_R_100_10.00_30_1718717545_0_6.00"}),
        (MULTIPLIER, {"shortcode": "MULTUP_R_100_10.00_30_1718717545_4872355199_5m_0.00_N1"}),
        (
            MULTIPLIER | {"cancellation": "60m", "price": 12},
            {"buy_price": 11, "shortcode": "MULTUP_R_100_10.00_30_1718717545_5m_0.00"},
        ),
        (
            MULTIPLIER | {"cancellation": "60m", "price": 12},
            {"buy_price": 11, "shortcode": "MULTUP_R_100_10.50_30_1718717545_60m_0.00"},
        ),
        (
            MULTIPLIER | {"limit_order": {"take_profit": 6}},
            {"shortcode": "MULTUP_R_100_10.00_30_1718717545_4872355199_0_0.00_N1"},
        ),
        (ACCUMULATOR, {"shortcode": "ACCU_R_100_10.00_0_0.02_1_0.000612552024_1718716983"}),
    ],
)
def test_what_fits_only_partly(asked: dict[str, Any], made: dict[str, Any]) -> None:
    assert fit_of(order(**asked), msgspec.structs.replace(PURCHASE, **made)) is Fit.PARTLY


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ({"earliest": 1001}, {}),
        ({"latest": 999}, {}),
        ({"symbol": "R_10"}, {}),
        ({"contract_type": "CALLE"}, {}),
        ({"contract_type": "PUT"}, {}),
    ],
)
def test_what_does_not_fit(asked: dict[str, Any], made: dict[str, Any]) -> None:
    assert fit_of(order(**asked), msgspec.structs.replace(PURCHASE, **made)) is Fit.NOT


def test_an_order_of_unknown_parameters_fits_whatever_it_could_pay() -> None:
    assert fit_of(Order(None, 10, 990, 1020), PURCHASE) is Fit.FULLY
    assert fit_of(Order(None, 9, 990, 1020), PURCHASE) is Fit.BUT_FOR_PRICE
    assert fit_of(Order(None, None, 990, 1020), PURCHASE) is Fit.FULLY


def test_a_purchase_that_was_dearer_than_allowed_is_neither_claimed_nor_denied() -> None:
    cheap, dear, other = order(price=Decimal("9.99")), order(price=12), order(duration=6)
    assert fit_of(cheap, PURCHASE) is Fit.BUT_FOR_PRICE
    assert decide(cheap, [other], [PURCHASE]).candidates == (PURCHASE,)
    for one, rival in ((cheap, dear), (dear, cheap)):
        finding = decide(one, [other, rival], [PURCHASE])
        assert (finding.purchase, finding.candidates) == (None, (PURCHASE,))
        assert finding.rivals == (rival,)
    assert decide(other, [cheap, dear], [PURCHASE]).candidates == ()


def test_what_was_bought_before_the_order_was_written_is_not_claimed() -> None:
    for written, purchase_found in ((1000, PURCHASE), (1001, None)):
        asked = Order(PARAMETERS, 10, 990, 1020, written)
        finding = decide(asked, [], [PURCHASE])
        assert (finding.purchase, finding.candidates) == (purchase_found, (PURCHASE,))


def test_of_two_equal_orders_each_may_have_what_is_later_than_itself() -> None:
    early, late = order(), Order(PARAMETERS, 10, 990, 1020, 1002)
    rows = [purchase(1), purchase(2, purchase_time=1002)]
    finding = decide(late, [early], rows)
    assert (finding.purchase, finding.shares) == (rows[1], {early: rows[0]})
    assert decide(late, [early], rows[:1]).purchase is None
    assert decide(early, [late], rows[:1]).purchase is None


@pytest.mark.parametrize("odd", ["a lot", [10], float("nan"), Decimal("sNaN"), None, True])
def test_no_value_in_an_order_is_too_odd_to_be_compared(odd: Any) -> None:
    """A request that was not checked may have anything in it."""
    assert fit_of(order(price=odd), PURCHASE) is Fit.FULLY
    names = "amount basis duration duration_unit barrier barrier2 date_expiry cancellation"
    for name in (*names.split(), "contract_type", "symbol", "limit_order"):
        fit_of(order(**{name: odd}), PURCHASE)
        assert order(**{name: odd}).equals(order(**{name: odd})) or odd != odd  # noqa: PLR0124


def test_one_order_one_purchase() -> None:
    finding = decide(order(), [], [PURCHASE, purchase(2, purchase_time=5)])
    assert finding.purchase == PURCHASE
    assert (finding.candidates, finding.rivals) == ((PURCHASE,), ())


def test_one_order_no_purchase() -> None:
    finding = decide(order(), [order(amount=5)], [purchase(2, purchase_time=5)])
    assert (finding.purchase, finding.candidates, finding.rivals) == (None, (), ())


def test_more_purchases_than_orders_are_not_all_ours() -> None:
    finding = decide(order(), [], [purchase(1), purchase(2)])
    assert finding.purchase is None
    assert [p.contract_id for p in finding.candidates] == [1, 2]


def test_what_fits_partly_forbids_a_no_unless_another_order_explains_it() -> None:
    made = purchase(1, buy_price=9)
    assert decide(order(), [], [made]).candidates == (made,)
    assert decide(order(), [order(amount=9)], [made]).candidates == ()


def test_orders_of_which_one_is_less_certain_are_not_equal() -> None:
    """Both were executed, but the one of unknown parameters may have led to either."""
    vague, clear = Order(None, 10, 990, 1020), order()
    rows = [purchase(1), purchase(2)]
    assert decide(vague, [clear], rows).purchase is None
    other = purchase(2, shortcode="PUT_R_100_19.50_1000_5T_S0P_0")
    finding = decide(vague, [clear], [purchase(1), other])
    assert finding.purchase == other
    assert decide(clear, [vague], [purchase(1), other]).purchase == purchase(1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"duration": 10, "duration_unit": "m"}, {"duration": 600, "duration_unit": "s"}),
        ({"amount": 10.0}, {"amount": Decimal("10.00")}),
        ({"barrier": "+0.3"}, {"barrier": "+0.30"}),
        ({"cancellation": "60m"}, {"cancellation": "1h"}),
        ({"loginid": "CR1"}, {}),
        ({"symbol": None, "underlying_symbol": "R_100"}, {}),
        (
            {"limit_order": {"take_profit": 5, "stop_loss": None}},
            {"limit_order": {"take_profit": 5.0}},
        ),
    ],
)
def test_equal_contracts_are_equal_however_they_are_written(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert order(**one).equals(order(**other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"duration": 1, "duration_unit": "d"}, {"duration": 24, "duration_unit": "h"}),
        ({"barrier": "+3"}, {"barrier": "3"}),
        ({"amount": 10}, {"amount": 10.01}),
        ({"limit_order": {"take_profit": 5}}, {}),
    ],
)
def test_what_differs_is_not_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not order(**one).equals(order(**other))


def test_windows_tell_equal_orders_apart() -> None:
    early, late = order(earliest=900, latest=1001), order(earliest=999, latest=1100)
    before = purchase(1, purchase_time=950)
    between = purchase(2, purchase_time=1000)
    assert decide(early, [late], [before]).purchase == before
    assert decide(late, [early], [before]).candidates == ()
    assert decide(early, [late], [between]).purchase is None
    assert decide(early, [late], [before, between]).purchase == before
    assert decide(late, [early], [before, between]).purchase == between


times = st.integers(0, 12)
windows = st.tuples(times, st.integers(0, 6))


@given(
    st.lists(st.tuples(windows, st.sampled_from([5, 6]), st.booleans()), min_size=1, max_size=5),
    st.data(),
)
def test_the_truth_is_never_contradicted(
    orders: list[tuple[tuple[int, int], int, bool]], data: st.DataObject
) -> None:
    """Whatever was executed: "bought" only if it was, "not bought" only if it was not.

    Each that was is given a purchase that it can have led to, and none is given twice.
    """
    asked, made = [], []
    for number, ((earliest, length), duration, executed) in enumerate(orders):
        latest = earliest + length
        asked.append(order(earliest=earliest, latest=latest, duration=duration))
        if executed:
            on = data.draw(st.integers(earliest, latest))
            code = f"CALL_R_100_19.50_{on}_{duration}T_S0P_0"
            made.append(purchase(number, purchase_time=on, shortcode=code))
    unclear, unclaimed = list(asked), list(made)
    for each in asked:
        executed = orders[asked.index(each)][2]
        finding = decide(each, [o for o in unclear if o is not each], unclaimed)
        if finding.purchase is not None:
            assert executed
            assert fit_of(each, finding.purchase) is Fit.FULLY
            unclaimed.remove(finding.purchase)
        elif not finding.candidates:
            assert not executed
        else:
            assert finding.rivals, "ambiguous, though no other order could be meant"
            continue
        unclear.remove(each)


@given(st.lists(st.booleans(), min_size=1, max_size=5), st.randoms())
def test_equal_orders_are_ambiguous_only_if_their_fates_differ(fates: list[bool], r: Any) -> None:
    asked = [order() for _ in fates]
    made = [purchase(number) for number, executed in enumerate(fates) if executed]
    r.shuffle(made)
    findings = [decide(each, [o for o in asked if o is not each], made) for each in asked]
    certain = [f.purchase is not None or not f.candidates for f in findings]
    assert all(certain) if len(set(fates)) == 1 else not any(certain)


def test_equal_orders_are_given_their_purchases_at_once() -> None:
    early, late, dear = order(earliest=900), order(), order(price=20)
    rows = [purchase(1), purchase(2), purchase(3)]
    finding = decide(late, [dear, early], rows)
    assert {finding.purchase, *finding.shares.values()} == set(rows)
    assert finding.shares.keys() == {dear, early}
    for rows_that_serve_not_all in (rows[:2], [*rows, purchase(4)]):
        finding = decide(late, [dear, early], rows_that_serve_not_all)
        assert (finding.purchase, finding.shares) == (None, {})
    assert decide(late, [order(duration=6)], rows[:1]).shares == {}


def test_of_equal_orders_one_is_not_served_before_it_is_clear_who_is() -> None:
    early, too = order(), order(latest=1100)
    early_rows = [purchase(1), purchase(2)]
    rows = [*early_rows, purchase(3, purchase_time=1060)]
    late, later = order(earliest=1050, latest=1100), order(earliest=1050, latest=1100)
    finding = decide(early, [too, late, later], rows)
    assert finding.shares.keys() == {too}  # the others' is no purchase of these
    assert [finding.purchase, *finding.shares.values()] == early_rows
    assert decide(late, [early, too, later], rows).purchase is None


def test_the_result_does_not_depend_on_the_order_of_the_rows() -> None:
    early, late = order(earliest=900, latest=1001), order(earliest=999, latest=1100)
    rows = [purchase(1, purchase_time=950), purchase(2), purchase(3, purchase_time=1050)]
    late_too = order(earliest=999, latest=1100)
    for shuffled in permutations(rows):
        found = decide(early, [late, late_too], shuffled)
        assert found.purchase == rows[0]
