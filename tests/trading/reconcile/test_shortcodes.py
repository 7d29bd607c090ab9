"""What a shortcode says about a contract. Most of these were seen in public repositories."""

from typing import Any

import pytest

from derivtrio.api.underlying import symbol_in, symbol_of
from derivtrio.trading.reconcile.shortcodes import agrees, rest_of

TICKS = {"duration": 5, "duration_unit": "t"}
MINUTES = {"duration": 10, "duration_unit": "m"}
STAKE = {"basis": "stake", "amount": 10}

#: Each with the parameters that led to it.
SEEN: list[tuple[str, dict[str, Any]]] = [
    ("CALL_FRXXAUUSD_286.59_1789485988_1789486888_S0P_0", {"symbol": "frxXAUUSD"}),
    ("CALL_R_100_1.95_1747020394_5T_S0P_0", {"symbol": "R_100", **TICKS}),
    (
        "CALL_1HZ100V_17.61_1716220562_1716221100F_S0P_0",
        {"symbol": "1HZ100V", "date_expiry": 1716221100},
    ),
    (
        "CALL_FRXAUDUSD_26.62_1722518945_1722988799_658680_0",
        {"underlying_symbol": "frxAUDUSD", "barrier": "0.65868"},
    ),
    ("CALL_1HZ100V_24.09_1716206154_1716206334_S40P_0", {"symbol": "1HZ100V", "barrier": "+0.40"}),
    ("CALL_1HZ100V_24.09_1716206154_1716206334_S0P_0", {"symbol": "1HZ100V", "barrier": "-0.00"}),
    ("TICKHIGH_R_50_100_1619506193_5t_1", {"symbol": "R_50", "selected_tick": 1, **TICKS}),
    ("TICKLOW_R_50_100_1619506193_5T_3", {"symbol": "R_50", "selected_tick": "3", **TICKS}),
    ("RUNHIGH_R_100_100.00_1619507455_5T_S0P_0", {"symbol": "R_100", **TICKS}),
    ("DIGITMATCH_R_10_18.18_1492407891_5T_0_0", {"symbol": "R_10", "barrier": "0", **TICKS}),
    ("LBFLOATCALL_R_75_1_1619506193_1619506793", {"symbol": "R_75", **MINUTES}),
    (
        "CALLSPREAD_1HZ100V_66.87_1717660032_5T_S10P_S-10P",
        {"symbol": "1HZ100V", "barrier": "+0.10", "barrier2": "-0.10", **TICKS},
    ),
    (
        "CALLSPREAD_1HZ100V_66.87_1717660032_5T_S10P_S-10P",
        {"underlying_symbol": "1HZ100V", "barrier": "-0.1", "barrier2": "+0.1", **TICKS},
    ),
    (
        "EXPIRYRANGE_R_100_10_1747020394_1747020994_1185120000_1180120000",
        {"symbol": "R_100", "barrier": "1185.12", "barrier2": "1180.12", **MINUTES},
    ),
    (
        "TURBOSLONG_1HZ100V_10.00_1716802860_1716803460_S-237P_3.971435_1716802860",
        {"symbol": "1HZ100V", "barrier": "-2.37", **MINUTES},
    ),
    ("MULTUP_R_100_10.00_10_1732543895_5734547996_0.00_N1", {"symbol": "R_100", **STAKE}),
    ("MULTUP_R_100_10_10_1638172897_4791830399", {"symbol": "R_100", **STAKE}),
    (
        "MULTDOWN_FRXUSDJPY_10_50_1603975474_4757575474_60m_0.00",
        {"symbol": "frxUSDJPY", "cancellation": "1h", **STAKE},
    ),
    (
        "ACCU_1HZ100V_10.00_0_0.03_1_0.000379665263_1722518733_0",
        {"symbol": "1HZ100V", "growth_rate": 0.03, **STAKE},
    ),
    ("MULTUP_STPRNG5_10.00_100_1716797490_4870454399_0_0.00_N1", {"symbol": "stpRNG5", **STAKE}),
    ("MULTUP_CRYETHUSD_10.00_10_1718880285_4872441599_0_0.00_N1", {"symbol": "cryETHUSD"}),
    (
        "VANILLALONGCALL_1HZ100V_2.00_1686895542_1687046399_1460000000_0.04958",
        {"symbol": "1HZ100V"},
    ),
    ("DIGITEVEN_R_10_1.96_1585708464_1T", {"symbol": "R_10"}),
    (
        "CALL_OTC_DJI_19.54_1710485400F_1710486300_S0P_0",
        {"symbol": "OTC_DJI", "date_start": 1710485400, "duration": 15, "duration_unit": "m"},
    ),
    (
        "CALL_FRXEURUSD_19.54_1710485400_1710539999F_S0P_0",
        {"symbol": "frxEURUSD", "date_expiry": 1710539999},
    ),
    (
        "CALL_FRXEURUSD_19.54_1710485400_1710719999F_S0P_0",  # the market closes before midnight
        {"symbol": "frxEURUSD", "date_expiry": 1710719000},
    ),
    ("CALL_OTC_DJI_19.54_1710485400F_1710486300_S0P_0", {"symbol": "OTC_DJI"}),
]

#: Each with parameters that did not lead to it.
OTHERS: list[tuple[str, dict[str, Any]]] = [
    (
        "CALL_1HZ100V_17.61_1716220562_1716221100F_S0P_0",
        {"symbol": "1HZ100V", "date_expiry": 1716221160},
    ),
    (
        "CALL_1HZ10V_19.54_1710485400F_1710486300_S0P_0",
        {"symbol": "1HZ10V", "date_start": 1710485460},
    ),
    ("TICKHIGH_R_50_100_1619506193_5t_1", {"symbol": "R_50", "selected_tick": 3, **TICKS}),
    ("TICKHIGH_R_50_100_1619506193_4t_1", {"symbol": "R_50", "selected_tick": 1, **TICKS}),
    (
        "EXPIRYMISS_R_100_10_1747020394_1747020994_S94P_S-94P",
        {"symbol": "R_100", "barrier": "+0.94", "barrier2": "-0.50", **MINUTES},
    ),
    (
        "EXPIRYMISS_R_100_10_1747020394_1747020994_S94P_S-94P",
        {"symbol": "R_100", "barrier": "+0.50", "barrier2": "-0.94", **MINUTES},
    ),
    (
        "EXPIRYRANGE_R_100_10_1747020394_1747020994_1185120000_1180120000",
        {"symbol": "R_100", "barrier": "1185.12", "barrier2": "1180.13", **MINUTES},
    ),
    (
        "TURBOSLONG_1HZ100V_10.00_1716802860_1716803460_S-237P_3.971435_1716802860",
        {"symbol": "1HZ100V", "barrier": "-2.55", **MINUTES},
    ),
    ("CALL_R_100_1.95_1747020394_5T_S0P_0", {"symbol": "R_10", **TICKS}),
]


def fits(shortcode: str, parameters: dict[str, Any]) -> bool:
    wanted = {"contract_type": shortcode.partition("_")[0], **parameters}
    rest = rest_of(shortcode, wanted)
    return rest is not None and agrees(wanted, rest)


@pytest.mark.parametrize(("shortcode", "parameters"), SEEN)
def test_a_shortcode_agrees_with_what_it_was_made_from(
    shortcode: str, parameters: dict[str, Any]
) -> None:
    assert fits(shortcode, parameters)


@pytest.mark.parametrize("left_out", ["_1", "_5t_1"])
def test_a_term_that_a_shortcode_does_not_have_contradicts_nothing(left_out: str) -> None:
    shortcode = "TICKHIGH_R_50_100_1619506193_5t_1"
    parameters = {"symbol": "R_50", "selected_tick": 3, **TICKS}
    assert not fits(shortcode, parameters)
    assert fits(shortcode.removesuffix(left_out), parameters)


@pytest.mark.parametrize(("shortcode", "parameters"), OTHERS)
def test_a_shortcode_contradicts_what_it_was_not_made_from(
    shortcode: str, parameters: dict[str, Any]
) -> None:
    assert not fits(shortcode, parameters)


def test_a_shortcode_that_is_very_long_is_only_strange() -> None:
    """Python refuses to read an int of more than 4,300 digits."""
    for part in ("{0}_5T_S0P_0", "1747020394_{0}_S0P_0", "1747020394_{0}T", "1_5T_S{0}P_0"):
        code = "CALL_R_100_19.5_" + part.format("7" * 5000)
        fits(code, {"symbol": "R_100", "barrier": "+7", "date_expiry": 5, **TICKS})
        fits(code.replace("CALL", "TICKHIGH"), {"symbol": "R_100", **TICKS})


@pytest.mark.parametrize(("shortcode", "parameters"), SEEN)
def test_the_symbol_is_read_from_a_shortcode_as_requests_have_it(
    shortcode: str, parameters: dict[str, Any]
) -> None:
    expected = parameters.get("symbol") or parameters["underlying_symbol"]
    assert symbol_in(shortcode) == expected


def test_a_payload_names_its_symbol_or_its_shortcode_does() -> None:
    code = "DIGITEVEN_R_10_1.96_1585708464_1T"
    assert symbol_of({"underlying_symbol": "R_25", "shortcode": code}) == "R_25"
    assert symbol_of({"underlying": "R_25"}) == symbol_of({"symbol": "R_25"}) == "R_25"
    assert symbol_of({"symbol": "", "shortcode": code}) == "R_10"
    for nothing in ({}, {"shortcode": None}, {"shortcode": "?"}, {"symbol": 5, "shortcode": [1]}):
        assert symbol_of(nothing) == ""
