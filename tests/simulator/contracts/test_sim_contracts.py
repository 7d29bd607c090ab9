"""What each type of contract costs, how it ends, and what it is worth until then."""

from typing import Any

import pytest
from asking import ask, error
from sim_trades import (
    ACCUMULATOR,
    LASTING,
    MULTIPLIER,
    RISE,
    balance_of,
    bought,
    buy,
    position_of,
    proposed,
    refusal,
    statement_of,
)
from wire_peer import START

from derivtrio.simulator.market.hours import DAY, HOUR, MINUTE
from derivtrio.simulator.market.market import Market, MarketTick
from derivtrio.simulator.sessions.session import ServerSession

MARKET = Market(1)
NO_DURATION = {"duration", "duration_unit"}
LASTING_UNTIL = {name: value for name, value in RISE.items() if name not in NO_DURATION}


def ticks_after(symbol: str, epoch: int, count: int) -> list[MarketTick]:
    """Return the next ticks as a stream of them would have them."""
    ticks: list[MarketTick] = []
    while len(ticks) < count:
        epoch = MARKET.next_tick_epoch(symbol, epoch)
        ticks.append(MARKET.tick(symbol, epoch))
    return ticks


def why_not(
    session: ServerSession, parameters: dict[str, Any], epoch: int = START
) -> tuple[str, str]:
    refused = error(session, {"buy": "1", "price": 1000, "parameters": parameters}, epoch)
    return refused["code"], refused["message"]


@pytest.mark.parametrize("start", range(START, START + 40, 4))
@pytest.mark.parametrize("contract_type", ["CALL", "CALLE", "PUT", "PUTE"])
def test_rise_and_fall_compare_the_entry_spot_with_the_nth_tick_after_it(
    session: ServerSession, contract_type: str, start: int
) -> None:
    contract_id = bought(session, start, contract_type=contract_type)["contract_id"]
    entry, *_, last = ticks_after("R_100", start, 6)
    wins = {
        "CALL": last.quote > entry.quote,
        "CALLE": last.quote >= entry.quote,
        "PUT": last.quote < entry.quote,
        "PUTE": last.quote <= entry.quote,
    }[contract_type]
    before = position_of(session, contract_id, last.epoch - 1)
    assert (before["status"], before["is_sold"]) == ("open", 0)
    after = position_of(session, contract_id, last.epoch)
    assert after["status"] == ("won" if wins else "lost")
    assert after["sell_price"] == (19.53 if wins else 0)
    assert after["entry_tick"] == entry.quote
    assert (after["exit_tick"], after["exit_tick_time"]) == (last.quote, last.epoch)
    assert [tick["epoch"] for tick in after["tick_stream"]][-1] == last.epoch
    assert len(after["tick_stream"]) == 6
    assert after["sell_time"] == last.epoch


@pytest.mark.parametrize("start", range(START, START + 20, 2))
@pytest.mark.parametrize(
    ("contract_type", "barrier", "wins"),
    [
        ("DIGITMATCH", "3", [3]),
        ("DIGITDIFF", "3", [0, 1, 2, 4, 5, 6, 7, 8, 9]),
        ("DIGITEVEN", None, [0, 2, 4, 6, 8]),
        ("DIGITODD", None, [1, 3, 5, 7, 9]),
        ("DIGITOVER", "6", [7, 8, 9]),
        ("DIGITUNDER", "6", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_digits_look_at_the_last_digit_of_the_nth_tick(
    session: ServerSession, contract_type: str, barrier: str | None, wins: list[int], start: int
) -> None:
    changes = {} if barrier is None else {"barrier": barrier}
    receipt = bought(session, start, contract_type=contract_type, **changes)
    last = ticks_after("R_100", start, 5)[-1]
    after = position_of(session, receipt["contract_id"], last.epoch)
    digit = int(f"{last.quote:.2f}"[-1])
    assert after["status"] == ("won" if digit in wins else "lost")
    assert after["sell_price"] == (receipt["payout"] if digit in wins else 0)
    assert after.get("barrier") == barrier


@pytest.mark.parametrize(
    ("contract_type", "barrier", "payout"),
    [
        ("DIGITMATCH", "3", 89.28),
        ("DIGITDIFF", "3", 10.96),
        ("DIGITEVEN", None, 19.53),
        ("DIGITOVER", "6", 32.05),
        ("DIGITUNDER", "1", 89.28),
    ],
)
def test_a_digit_costs_its_chance_and_the_margin(
    session: ServerSession, contract_type: str, barrier: str | None, payout: float
) -> None:
    changes = {} if barrier is None else {"barrier": barrier}
    assert proposed(session, contract_type=contract_type, **changes)["payout"] == payout


def test_what_lasts_a_time_ends_with_the_last_tick_up_to_then(session: ServerSession) -> None:
    contract_id = bought(session, **LASTING | {"duration": 61})["contract_id"]
    end = START + 61
    last, entry = MARKET.tick("R_100", end), ticks_after("R_100", START, 1)[0]
    assert last.epoch < end
    after = position_of(session, contract_id, end + 100)
    assert (after["date_expiry"], after["sell_time"]) == (end, end)
    assert (after["exit_tick"], after["exit_tick_time"]) == (last.quote, last.epoch)
    assert after["status"] == ("won" if last.quote > entry.quote else "lost")


@pytest.mark.parametrize(
    ("duration", "unit", "seconds", "words"),
    [
        (15, "s", 15, "15 seconds"),
        (90, "s", 90, "1 minute 30 seconds"),
        (5, "m", 300, "5 minutes"),
        (1, "h", 3600, "1 hour"),
        (2, "d", 2 * DAY, "2 days"),
    ],
)
def test_durations(
    session: ServerSession, duration: int, unit: str, seconds: int, words: str
) -> None:
    proposal = proposed(session, duration=duration, duration_unit=unit)
    assert proposal["date_expiry"] == START + seconds
    assert proposal["longcode"].endswith(f"entry spot at {words} after contract start time.")


def test_an_end_can_be_given_in_place_of_a_duration(session: ServerSession) -> None:
    fields = {name: value for name, value in RISE.items() if name not in NO_DURATION}
    receipt = buy(session, fields | {"date_expiry": START + 100})
    assert receipt["shortcode"] == f"CALL_R_100_19.53_{START}_{START + 100}F_S0P_0"


def test_a_barrier_can_be_relative_or_a_price(session: ServerSession) -> None:
    spot = MARKET.tick("R_100", START).quote
    above = proposed(session, **LASTING | {"barrier": "+0.30"})
    below = proposed(session, **LASTING | {"barrier": "-0.30"})
    absolute = proposed(session, **LASTING | {"barrier": f"{spot + 0.3:.2f}"})
    assert below["payout"] < 19.53 < above["payout"] == absolute["payout"]
    barrier = above["contract_details"]["barrier"]
    assert barrier == absolute["contract_details"]["barrier"] == f"{spot + 0.3:.2f}"
    assert "entry spot minus 0.30" in below["longcode"]
    receipt = bought(session, barrier="+0.30")
    entry = ticks_after("R_100", START, 1)[0]
    position = position_of(session, receipt["contract_id"], entry.epoch)
    assert position["barrier"] == f"{entry.quote + 0.3:.2f}"
    assert "_5T_S30P_0" in receipt["shortcode"]


def test_rise_and_fall_of_a_driftless_price_are_worth_the_same(session: ServerSession) -> None:
    rise = proposed(session, **LASTING | {"barrier": "+0.30"})["payout"]
    fall = proposed(session, **LASTING | {"barrier": "-0.30", "contract_type": "PUT"})["payout"]
    assert rise == pytest.approx(fall, rel=0.001)


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"symbol": "R_1"}, "InvalidSymbol", "Symbol R_1 is invalid."),
        (
            {"contract_type": "ONETOUCH"},
            "OfferingsValidationError",
            "Trading is not offered for this contract type.",
        ),
        (
            {"duration": 11},
            "ContractBuyValidationError",
            "Number of ticks must be between 1 and 10.",
        ),
        (
            {"duration": 14, "duration_unit": "s"},
            "OfferingsValidationError",
            "Trading is not offered for this duration.",
        ),
        (
            {"contract_type": "DIGITEVEN", "duration": 1, "duration_unit": "m"},
            "OfferingsValidationError",
            "Trading is not offered for this duration.",
        ),
        (
            {"contract_type": "DIGITOVER", "barrier": "9"},
            "ContractBuyValidationError",
            "Barrier is not an integer between 0 to 8.",
        ),
        (
            {"contract_type": "DIGITOVER"},
            "ContractCreationFailure",
            "Missing required contract parameters (barrier).",
        ),
        (
            {"barrier2": "+1"},
            "ContractCreationFailure",
            "Invalid input (barrier2) for this contract type (CALL).",
        ),
        (
            {"barrier": "+0.305"},
            "BarrierValidationError",
            "Barrier can only be up to 2 decimal places.",
        ),
        (
            {"barrier": "-500"},
            "ContractBuyValidationError",
            "This contract offers no return.",
        ),
        (
            {"amount": 0.34},
            "ContractBuyValidationError",
            "Please enter a stake amount that's at least 0.35.",
        ),
        (
            {"amount": 1.005},
            "ContractBuyValidationError",
            "Stake can not have more than 2 decimal places.",
        ),
        (
            {"amount": 40000},
            "ContractBuyValidationError",
            "Minimum stake of 0.35 and maximum payout of 50000.00. Current payout is 78125.00.",
        ),
        (
            {"currency": "EUR"},
            "ContractCreationFailure",
            "The provided currency EUR is invalid.",
        ),
    ],
)
def test_what_cannot_be_bought_says_why(
    session: ServerSession, changes: dict[str, Any], code: str, text: str
) -> None:
    assert refusal(session, **changes) == (code, text)
    assert balance_of(session) == 10000


def test_a_closed_market_sells_nothing(session: ServerSession) -> None:
    saturday = START - START % DAY + 4 * DAY
    forex = {"symbol": "frxEURUSD", "duration": 1, "duration_unit": "h"}
    assert refusal(session, saturday, **forex)[0] == "MarketIsClosed"
    friday = START - START % DAY + 3 * DAY + 20 * HOUR
    assert refusal(session, friday, **forex) == (
        "ContractBuyValidationError",
        "Contract must expire during trading hours.",
    )


@pytest.mark.parametrize(
    "contract",
    [LASTING | {"duration": 4, "duration_unit": "d"}, MULTIPLIER | {"cancellation": "60m"}],
)
def test_a_closed_market_buys_nothing_back(
    session: ServerSession, contract: dict[str, Any]
) -> None:
    friday = START - START % DAY + 3 * DAY + 20 * HOUR + 54 * MINUTE
    contract_id = buy(session, contract | {"symbol": "frxEURUSD"}, friday)["contract_id"]
    closed = friday + 10 * MINUTE
    assert error(session, {"sell": contract_id, "price": 0}, closed) == {
        "code": "InvalidtoSell",
        "message": "This market is presently closed.",
    }
    position = position_of(session, contract_id, closed)
    assert (position["is_valid_to_sell"], position["is_sold"]) == (0, 0)
    assert position["validation_error"] == "This market is presently closed."
    monday = friday + 3 * DAY
    assert position_of(session, contract_id, monday)["is_valid_to_sell"] == 1


def test_deal_cancellation_needs_no_market(session: ServerSession) -> None:
    friday = START - START % DAY + 3 * DAY + 20 * HOUR + 54 * MINUTE
    contract = MULTIPLIER | {"symbol": "frxEURUSD", "cancellation": "60m"}
    contract_id = buy(session, contract, friday)["contract_id"]
    cancelled = ask(session, {"cancel": contract_id}, friday + 10 * MINUTE)["cancel"]
    assert cancelled["sold_for"] == 10


def test_what_lasts_a_time_can_be_sold_back(session: ServerSession) -> None:
    contract_id = bought(session, **LASTING)["contract_id"]
    early = error(session, {"sell": contract_id, "price": 0})
    assert early == {"code": "InvalidtoSell", "message": "Waiting for entry tick."}
    position = position_of(session, contract_id, START + 30)
    assert position["is_valid_to_sell"] == 1
    bid = position["bid_price"]
    too_much = error(session, {"sell": contract_id, "price": bid + 1}, START + 30)
    assert too_much["code"] == "PriceMoved"
    assert "The contract sell price has changed from" in too_much["message"]
    receipt = ask(session, {"sell": contract_id, "price": bid}, START + 30)["sell"]
    assert receipt["sold_for"] == bid
    assert receipt["balance_after"] == round(9990 + bid, 2) == balance_of(session)
    again = error(session, {"sell": contract_id, "price": 0}, START + 31)
    assert again == {
        "code": "InvalidSellContractProposal",
        "message": "Unknown contract sell proposal",
    }
    position = position_of(session, contract_id, START + 1000)
    assert (position["status"], position["sell_price"]) == ("sold", bid)
    assert position["transaction_ids"]["sell"] == receipt["transaction_id"]
    assert len(statement_of(session, START + 1000)) == 2


def test_the_bid_of_a_fresh_contract_is_below_what_it_cost(session: ServerSession) -> None:
    contract_id = bought(session, **LASTING | {"duration": 3600})["contract_id"]
    position = position_of(session, contract_id, START + 2)
    assert 0 < position["bid_price"] < 10
    assert position["profit"] == round(position["bid_price"] - 10, 2)
    assert position["profit_percentage"] == pytest.approx(position["profit"] * 10)


def test_ticks_cannot_be_sold_back(session: ServerSession) -> None:
    contract_id = bought(session)["contract_id"]
    refused = error(session, {"sell": contract_id, "price": 0}, START + 4)
    assert refused["message"] == "Resale of this contract is not offered."
    assert position_of(session, contract_id, START + 4)["is_valid_to_sell"] == 0


def test_nobody_sells_what_is_not_his(session: ServerSession) -> None:
    contract_id = bought(session, **LASTING)["contract_id"]
    ask(session, {"authorize": "other"})
    for request in ({"sell": contract_id, "price": 0}, {"cancel": contract_id}):
        assert error(session, request)["code"] == "InvalidSellContractProposal"
    lookup = {"proposal_open_contract": 1, "contract_id": contract_id}
    assert error(session, lookup)["code"] == "ContractNotFound"


@pytest.mark.parametrize(("contract_type", "sign"), [("MULTUP", 1), ("MULTDOWN", -1)])
def test_a_multiplier_is_worth_its_stake_and_the_move(
    session: ServerSession, contract_type: str, sign: int
) -> None:
    contract_id = buy(session, MULTIPLIER | {"contract_type": contract_type})["contract_id"]
    epoch = START + 60
    entry, spot = (MARKET.tick("R_100", at).quote for at in (START, epoch))
    position = position_of(session, contract_id, epoch)
    worth = 10 + 1000 * sign * (spot - entry) / entry - 0.5
    assert position["bid_price"] == pytest.approx(worth, abs=0.01)
    assert (position["commission"], position["multiplier"]) == (0.5, 100)
    assert position["entry_tick"] == entry
    receipt = ask(session, {"sell": contract_id, "price": 0}, epoch)["sell"]
    assert receipt["sold_for"] == position["bid_price"]


def test_a_multiplier_is_sold_at_the_bid_whatever_price_is_asked_for(
    session: ServerSession,
) -> None:
    contract_id = buy(session, MULTIPLIER)["contract_id"]
    bid = position_of(session, contract_id, START + 60)["bid_price"]
    receipt = ask(session, {"sell": contract_id, "price": bid + 50}, START + 60)["sell"]
    assert receipt["sold_for"] == bid


@pytest.mark.parametrize(
    ("parameters", "shortcode"),
    [
        (RISE | {"symbol": "1HZ100V"}, "CALL_1HZ100V_19.53_{start}_5T_S0P_0"),
        (LASTING | {"barrier": "+0.40"}, "CALL_R_100_{payout}_{start}_{minute}_S40P_0"),
        (LASTING_UNTIL | {"date_expiry": START + 60}, "CALL_R_100_19.53_{start}_{minute}F_S0P_0"),
        (LASTING | {"symbol": "stpRNG"}, "CALL_STPRNG_{payout}_{start}_{minute}_S0P_0"),
        (RISE | {"contract_type": "DIGITEVEN"}, "DIGITEVEN_R_100_{payout}_{start}_5T_0_0"),
        (
            RISE | {"contract_type": "DIGITDIFF", "barrier": "4"},
            "DIGITDIFF_R_100_{payout}_{start}_5T_4_0",
        ),
        (MULTIPLIER, "MULTUP_R_100_10.00_100_{start}_{far}_0_0.00_N1"),
        (
            MULTIPLIER | {"limit_order": {"take_profit": 6}},
            "MULTUP_R_100_10.00_100_{start}_{far}_0_6.00_N1",
        ),
        (MULTIPLIER | {"cancellation": "60m"}, "MULTUP_R_100_10.00_100_{start}_{far}_60m_0.00_N1"),
    ],
)
def test_shortcodes_are_written_as_deriv_writes_them(
    session: ServerSession, parameters: dict[str, Any], shortcode: str
) -> None:
    receipt = buy(session, parameters)
    # Deriv's 4870713599 for a multiplier bought at 1717078783: the end of a day, 36,500 days later.
    far = (START // DAY + 36501) * DAY - 1
    payout = f"{receipt['payout']:.2f}"
    assert receipt["shortcode"] == shortcode.format(
        payout=payout, start=START, minute=START + 60, far=far
    )


def test_the_shortcode_of_an_accumulator_has_twelve_decimals(session: ServerSession) -> None:
    words = buy(session, ACCUMULATOR)["shortcode"].split("_")
    assert words[:7] == ["ACCU", "R", "100", "10.00", "0", "0.03", "1"]
    assert (len(words[7]), words[8:]) == (len("0.000379665263"), [str(START)])


def test_a_multiplier_is_stopped_out_when_its_stake_is_used_up(session: ServerSession) -> None:
    contract_ids = [
        buy(session, MULTIPLIER | {"contract_type": kind, "amount": 1})["contract_id"]
        for kind in ("MULTUP", "MULTDOWN")
    ]
    later = START + 60 * DAY
    ends = [position_of(session, contract_id, later) for contract_id in contract_ids]
    lost = [end for end in ends if end["is_sold"]]
    assert lost
    for end in lost:
        assert (end["status"], end["is_expired"]) == ("lost", 1)
        assert end["sell_price"] < 0.2
        level = float(end["limit_order"]["stop_out"]["value"])
        up = end["contract_type"] == "MULTUP"
        assert end["exit_tick"] <= level + 0.01 if up else end["exit_tick"] >= level - 0.01
        ticks = MARKET.ticks("R_100", START + 1, end["exit_tick_time"] - 1)
        assert all(t.quote > level - 0.01 if up else t.quote < level + 0.01 for t in ticks)


def test_a_multiplier_takes_its_profit_and_stops_its_loss(session: ServerSession) -> None:
    limits = {"limit_order": {"take_profit": 2, "stop_loss": 3}}
    contract_id = buy(session, MULTIPLIER | limits)["contract_id"]
    end = position_of(session, contract_id, START + DAY)
    assert end["is_sold"] == 1
    profit = end["sell_price"] - 10
    assert profit >= 2 if end["status"] == "won" else profit <= -3
    name = "take_profit" if end["status"] == "won" else "stop_loss"
    level = float(end["limit_order"][name]["value"])
    before = MARKET.tick("R_100", end["exit_tick_time"] - 1).quote
    assert (before - level) * (end["exit_tick"] - level) <= 0


def test_limits_can_be_changed_and_lifted(session: ServerSession) -> None:
    contract_id = buy(session, MULTIPLIER | {"limit_order": {"take_profit": 500}})["contract_id"]
    update = {"contract_update": 1, "contract_id": contract_id}
    changed = ask(session, update | {"limit_order": {"stop_loss": 1}}, START + 1)
    assert changed["contract_update"]["stop_loss"]["order_amount"] == -1
    lifted = ask(session, update | {"limit_order": {"take_profit": None}}, START + 2)
    assert lifted["contract_update"]["take_profit"]["order_amount"] is None
    position = position_of(session, contract_id, START + 2)
    assert position["limit_order"].keys() == {"stop_out", "stop_loss"}
    history = {"contract_update_history": 1, "contract_id": contract_id}
    updates = ask(session, history, START + 3)["contract_update_history"]
    assert [(each["order_date"], each["order_type"]) for each in updates] == [
        (START + 2, "take_profit"),
        (START + 1, "stop_loss"),
    ]
    assert len(ask(session, history | {"limit": 1}, START + 3)["contract_update_history"]) == 1
    end = position_of(session, contract_id, START + DAY)
    assert end["sell_price"] <= 9
    late = error(session, update | {"limit_order": {"stop_loss": 1}}, START + DAY)
    assert late["code"] == "ContractAlreadySold"


def test_a_limit_counts_from_when_it_was_set(session: ServerSession) -> None:
    contract_id = buy(session, MULTIPLIER)["contract_id"]
    position = position_of(session, contract_id, START + 60)
    profit = position["profit"]
    limits = {"stop_loss": 0.01} if profit < -0.01 else {"take_profit": 0.01}
    update = {"contract_update": 1, "contract_id": contract_id, "limit_order": limits}
    ask(session, update, START + 60)
    assert position_of(session, contract_id, START + 60)["is_sold"] == 0
    end = position_of(session, contract_id, START + DAY)
    assert end["sell_time"] > START + 60


def test_binaries_have_no_limits(session: ServerSession) -> None:
    contract_id = bought(session)["contract_id"]
    update = {"contract_update": 1, "contract_id": contract_id, "limit_order": {"stop_loss": 1}}
    assert error(session, update)["code"] == "ContractUpdateNotAllowed"


def test_an_insured_multiplier_gives_its_stake_back(session: ServerSession) -> None:
    receipt = buy(session, MULTIPLIER | {"cancellation": "15m"})
    cost = receipt["buy_price"] - 10
    assert 0 < cost < 10
    contract_id = receipt["contract_id"]
    position = position_of(session, contract_id, START + 10)
    assert position["is_valid_to_cancel"] == 1
    assert position["cancellation"]["date_expiry"] == START + 900
    cancelled = ask(session, {"cancel": contract_id}, START + 10)["cancel"]
    assert cancelled["sold_for"] == 10
    assert balance_of(session) == pytest.approx(10000 - cost)
    assert position_of(session, contract_id, START + 11)["status"] == "cancelled"
    again = error(session, {"cancel": contract_id}, START + 11)
    assert again["code"] == "ContractAlreadySold"


def test_insurance_runs_out(session: ServerSession) -> None:
    contract_id = buy(session, MULTIPLIER | {"multiplier": 10, "cancellation": "5m"})
    refused = error(session, {"cancel": contract_id["contract_id"]}, START + 300)
    assert refused == {
        "code": "CannotCancelContract",
        "message": "Deal cancellation is not available for this contract.",
    }


def test_an_insured_loss_is_not_sold(session: ServerSession) -> None:
    contract_id = buy(session, MULTIPLIER | {"cancellation": "60m"})["contract_id"]
    refused = error(session, {"sell": contract_id, "price": 0})
    assert "deal cancellation is active" in refused["message"]


def test_an_insured_multiplier_that_is_stopped_out_gives_its_stake_back(
    session: ServerSession,
) -> None:
    ends = []
    for start in range(START, START + 40 * HOUR, HOUR):
        receipt = buy(session, MULTIPLIER | {"cancellation": "60m"}, start)
        ends.append(position_of(session, receipt["contract_id"], start + HOUR - 1))
    cancelled = [end for end in ends if end["status"] == "cancelled"]
    assert cancelled
    assert {end["sell_price"] for end in cancelled} == {10}


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        (
            {"multiplier": 5},
            "ContractBuyValidationError",
            "Multiplier is not in acceptable range. Accepts 10,20,30,50,100.",
        ),
        (
            {"basis": "payout"},
            "ContractCreationFailure",
            "Basis must be stake for this contract.",
        ),
        (
            {"cancellation": "7m"},
            "ContractBuyValidationError",
            "Deal cancellation is not offered at this duration.",
        ),
        (
            {"cancellation": "5m", "limit_order": {"stop_loss": 1}},
            "ContractBuyValidationError",
            (
                "You may use either stop loss or deal cancellation, but not both."
                " Please select either one."
            ),
        ),
        (
            {"limit_order": {"stop_loss": 11}},
            "ContractBuyValidationError",
            "Enter an amount equal to or lower than 10.00.",
        ),
        (
            {"limit_order": {"take_profit": 0}},
            "ContractBuyValidationError",
            "Please enter a take profit amount that's higher than 0.00.",
        ),
        (
            {"duration": 5, "duration_unit": "t"},
            "ContractCreationFailure",
            "Invalid input (duration, duration_unit) for this contract type (MULTUP).",
        ),
    ],
)
def test_a_multiplier_that_cannot_be_bought_says_why(
    session: ServerSession, changes: dict[str, Any], code: str, text: str
) -> None:
    assert why_not(session, MULTIPLIER | changes) == (code, text)


@pytest.mark.parametrize("start", range(START, START + 200, 20))
def test_an_accumulator_grows_until_a_tick_leaves_the_band(
    session: ServerSession, start: int
) -> None:
    receipt = buy(session, ACCUMULATOR, start)
    details = proposed_details(session, start)
    entry, *ticks = ticks_after("R_100", start, 81)
    before, count = entry.quote, 0
    for tick in ticks:
        if abs(tick.quote - before) > before * details["tick_size_barrier"]:
            break
        before, count = tick.quote, count + 1
        position = position_of(session, receipt["contract_id"], tick.epoch)
        assert position["bid_price"] == pytest.approx(10 * 1.03**count, abs=0.01)
        assert position["tick_passed"] == count
    end = position_of(session, receipt["contract_id"], start + HOUR)
    assert (end["status"], end["sell_time"]) == ("won" if count == 80 else "lost", tick.epoch)
    assert end["sell_price"] == (end["bid_price"] if count == 80 else 0)


def proposed_details(session: ServerSession, epoch: int) -> dict[str, Any]:
    proposal = ask(session, {"proposal": 1} | ACCUMULATOR, epoch)["proposal"]
    details: dict[str, Any] = proposal["contract_details"]
    return details


def test_an_accumulator_can_be_sold_after_its_entry_tick(session: ServerSession) -> None:
    contract_id = buy(session, ACCUMULATOR)["contract_id"]
    entry, first = ticks_after("R_100", START, 2)
    refused = error(session, {"sell": contract_id, "price": 0}, entry.epoch)
    assert refused["message"] == (
        "Contract cannot be sold at entry tick. Please wait for the next tick."
    )
    sold = ask(session, {"sell": contract_id, "price": 10.3}, first.epoch)["sell"]
    assert sold["sold_for"] == 10.3


def test_an_accumulator_takes_its_profit(session: ServerSession) -> None:
    taken = []
    for start in range(START, START + 200, 20):
        limits = {"limit_order": {"take_profit": 0.5}}
        contract_id = buy(session, ACCUMULATOR | limits, start)["contract_id"]
        end = position_of(session, contract_id, start + HOUR)
        assert end["limit_order"]["take_profit"]["order_amount"] == 0.5
        if end["status"] == "won":
            taken.append(end)
    assert taken
    for end in taken:
        assert (end["sell_price"], end["tick_passed"]) == (10.6, 2)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"symbol": "stpRNG"}, "Trading is not offered for this asset."),
        ({"symbol": "BOOM1000"}, "Trading is not offered for this asset."),
        (
            {"growth_rate": 0.06},
            "Growth rate is not in acceptable range. Accepts 0.01, 0.02, 0.03, 0.04, 0.05.",
        ),
        (
            {"limit_order": {"stop_loss": 1}},
            "Invalid input (stop_loss) for this contract type (ACCU).",
        ),
    ],
)
def test_an_accumulator_that_cannot_be_bought_says_why(
    session: ServerSession, changes: dict[str, Any], text: str
) -> None:
    assert why_not(session, ACCUMULATOR | changes)[1] == text


def test_the_house_wins_in_the_long_run_but_not_by_much(session: ServerSession) -> None:
    desk = session.backend.broker
    (ledger, _) = desk.ledgers.values()
    for start in range(START, START + 20_000, 20):
        buy(session, RISE | {"amount": 1}, start)
    balance_of(session, START + 30_000)
    staked = sum(contract.buy_price for contract in ledger.contracts.values())
    lost = (ledger.opening_balance - ledger.account.balance) / staked
    assert staked == 1000
    assert -0.08 < lost < 0.12
