"""Requests and their replies, without any I/O."""

from decimal import Decimal
from typing import Any

import pytest
from asking import answers, ask, ask_all, error
from sim_trades import RISE
from wire_peer import START

from derivtrio.api.codec import encode
from derivtrio.simulator import SCOPES, Account, Market, demo_account
from derivtrio.simulator.calls.balance import balance_messages
from derivtrio.simulator.calls.dispatch import parse
from derivtrio.simulator.contracts.orders import ACCUMULATORS, DIGITS, MULTIPLIERS, RISE_FALL
from derivtrio.simulator.dialects.dialect import OPTIONS, V3, Dialect
from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.sessions.session import Backend, ServerSession

SATURDAY = START - START % DAY + 4 * DAY
READER = Account("CR90000001", Decimal("12.34"), {"reader": frozenset({"read"})}, is_virtual=False)
SHUT = Account("CR90000002", Decimal(0), {"shut": SCOPES}, is_disabled=True)
PAYER = Account("CR90000003", Decimal(0), {"payer": frozenset({"payments"})})
ACCOUNTS = (demo_account(), READER, SHUT, PAYER)


@pytest.fixture
def session() -> ServerSession:
    return ServerSession(Backend(1, Market(1), {each.loginid: each for each in ACCOUNTS}), number=1)


def test_ping_and_time(session: ServerSession) -> None:
    assert ask(session, {"ping": 1})["ping"] == "pong"
    assert ask(session, {"time": 1})["time"] == START


def test_a_reply_repeats_its_request_and_what_identifies_it(session: ServerSession) -> None:
    request = {"ping": 1, "req_id": 7, "passthrough": {"a": [1]}}
    assert ask(session, request) == {
        "echo_req": request,
        "msg_type": "ping",
        "passthrough": {"a": [1]},
        "ping": "pong",
        "req_id": 7,
    }


def test_what_the_request_has_not_the_reply_has_not(session: ServerSession) -> None:
    assert ask(session, {"ping": 1}).keys() == {"echo_req", "msg_type", "ping"}


def test_website_status_has_the_budgets_of_2026(session: ServerSession) -> None:
    limits = ask(session, {"website_status": 1})["website_status"]["api_call_limits"]
    assert limits["max_requestes_general"]["minutely"] == 220
    assert limits["max_requests_outcome"] == {
        "applies_to": "portfolio, statement and proposal",
        "minutely": 30,
        "hourly": 1500,
    }
    assert limits["max_proposal_subscription"]["max"] == 5


def test_active_symbols_list_everything_with_its_step(session: ServerSession) -> None:
    listed = {
        entry["symbol"]: entry
        for entry in ask(session, {"active_symbols": "brief"}, SATURDAY)["active_symbols"]
    }
    assert listed.keys() == session.backend.market.symbols.keys()
    assert listed["R_100"]["pip"] == 0.01
    assert listed["frxEURUSD"]["pip"] == 1e-05
    assert (listed["R_100"]["exchange_is_open"], listed["frxEURUSD"]["exchange_is_open"]) == (1, 0)
    assert "spot" not in listed["R_100"]


def test_active_symbols_in_full_have_spots(session: ServerSession) -> None:
    (entry,) = [
        entry
        for entry in ask(session, {"active_symbols": "full"})["active_symbols"]
        if entry["symbol"] == "R_100"
    ]
    assert entry["spot"] == session.backend.market.tick("R_100", START).quote


@pytest.mark.parametrize(
    ("day", "opened", "closed"),
    [
        ("2026-07-01", "00:00:00", "23:59:59"),
        ("2026-7-3", "00:00:00", "20:54:59"),
        ("2026-07-04", "--", "--"),
    ],
)
def test_trading_times_of_forex(session: ServerSession, day: str, opened: str, closed: str) -> None:
    markets = ask(session, {"trading_times": day})["trading_times"]["markets"]
    (forex,) = [market for market in markets if market["name"] == "Forex"]
    (times, *_) = forex["submarkets"][0]["symbols"]
    assert times["symbol"] == "frxEURUSD"
    assert (times["times"]["open"], times["times"]["close"]) == ([opened], [closed])
    assert times["trading_days"] == ["Mon", "Tue", "Wed", "Thu", "Fri"]


def test_trading_times_of_no_day(session: ServerSession) -> None:
    assert error(session, {"trading_times": "2026-13-01"})["code"] == "InputValidationFailed"
    assert "error" not in ask(session, {"trading_times": "today"})


def test_contracts_for(session: ServerSession) -> None:
    answered = ask(session, {"contracts_for": "R_50"})["contracts_for"]
    types = {each["contract_type"] for each in answered["available"]}
    assert types == {*RISE_FALL, *DIGITS, *MULTIPLIERS, *ACCUMULATORS}
    assert answered["hit_count"] == len(answered["available"])
    steps = ask(session, {"contracts_for": "stpRNG"})["contracts_for"]["available"]
    assert types - {each["contract_type"] for each in steps} == {"ACCU"}
    assert error(session, {"contracts_for": "R_51"})["code"] == "InvalidSymbol"


def test_ticks_subscribe_even_without_being_asked_to(session: ServerSession) -> None:
    message = ask(session, {"ticks": "R_100", "req_id": 3})
    tick = session.backend.market.tick("R_100", START)
    assert message["tick"] == {
        "ask": tick.ask,
        "bid": tick.bid,
        "epoch": tick.epoch,
        "id": message["subscription"]["id"],
        "pip_size": 2,
        "quote": tick.quote,
        "symbol": "R_100",
    }
    assert session.streams.next_due() == START + 2


def test_an_array_of_ticks_is_a_stream_per_symbol_on_one_req_id(session: ServerSession) -> None:
    messages = ask_all(session, {"ticks": ["R_100", "1HZ100V", "nope"], "req_id": 3})
    assert [message["req_id"] for message in messages] == [3, 3, 3]
    assert [message["tick"]["symbol"] for message in messages[:2]] == ["R_100", "1HZ100V"]
    assert len({message["subscription"]["id"] for message in messages[:2]}) == 2
    assert messages[2]["error"]["code"] == "InvalidSymbol"


def test_an_empty_array_of_ticks_is_an_error_at_once(session: ServerSession) -> None:
    message = ask(session, {"ticks": [], "req_id": 3})
    assert (message["msg_type"], message["req_id"]) == ("tick", 3)
    assert message["error"]["code"] == "NoSymbolProvided"


def test_a_failing_ticks_is_of_type_tick(session: ServerSession) -> None:
    message = ask(session, {"ticks": "XYZ"})
    assert message["msg_type"] == "tick"
    assert message["error"] == {"code": "InvalidSymbol", "message": "Symbol XYZ is invalid."}


def test_a_failing_history_is_of_the_type_of_its_call(session: ServerSession) -> None:
    message = ask(session, {"ticks_history": "XYZ", "end": "latest"})
    assert (message["msg_type"], message["error"]["code"]) == ("ticks_history", "InvalidSymbol")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"ticks": "R_100"}, {"ticks": "R_100", "req_id": 9}),
        ({"ticks": "R_100"}, {"ticks_history": "R_100", "end": "latest", "subscribe": 1}),
        ({"ticks_history": "R_100", "end": "latest", "subscribe": 1}, {"ticks": "R_100"}),
        ({"website_status": 1, "subscribe": 1}, {"website_status": 1, "subscribe": 1}),
        (
            {"ticks_history": "R_10", "end": "latest", "style": "candles", "subscribe": 1},
            {
                "ticks_history": "R_10",
                "end": "latest",
                "style": "candles",
                "granularity": 60,
                "subscribe": 1,
            },
        ),
    ],
)
def test_a_stream_can_be_had_once(
    session: ServerSession, first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert "error" not in ask(session, first)
    assert error(session, second)["code"] == "AlreadySubscribed"
    assert len(session.streams.by_id) == 1


def test_already_subscribed_names_the_symbol(session: ServerSession) -> None:
    ask(session, {"ticks": "R_50"})
    assert error(session, {"ticks": "R_50"})["message"] == "You are already subscribed to R_50"


def test_ticks_and_candles_of_different_granularity_are_different_streams(
    session: ServerSession,
) -> None:
    candles = {"ticks_history": "R_100", "end": "latest", "style": "candles", "subscribe": 1}
    ask(session, {"ticks": "R_100"})
    ask(session, candles)
    ask(session, candles | {"granularity": 120})
    assert len(session.streams.by_id) == 3


def test_another_connection_has_its_own_streams_and_ids(session: ServerSession) -> None:
    other = ServerSession(session.backend, number=2)
    ids = {ask(each, {"ticks": "R_50"})["subscription"]["id"] for each in (session, other)}
    assert len(ids) == 2


def test_subscription_ids_are_the_same_in_every_run(session: ServerSession) -> None:
    again = ServerSession(session.backend, session.number)
    request = {"ticks": "R_50"}
    assert ask(session, request)["subscription"] == ask(again, request)["subscription"]


def test_forget_ends_one_stream(session: ServerSession) -> None:
    stream_id = ask(session, {"ticks": "R_50"})["subscription"]["id"]
    assert ask(session, {"forget": stream_id})["forget"] == 1
    assert ask(session, {"forget": stream_id})["forget"] == 0
    assert session.streams.next_due() is None
    assert "error" not in ask(session, {"ticks": "R_50"})


def test_forget_all_ends_the_streams_of_its_types(session: ServerSession) -> None:
    history = {"ticks_history": "R_100", "end": "latest", "subscribe": 1}
    ticks = [ask(session, {"ticks": "R_50"}), ask(session, history)]
    candles = ask(session, history | {"style": "candles"})
    status = ask(session, {"website_status": 1, "subscribe": 1})
    ids = [message["subscription"]["id"] for message in ticks]
    assert ask(session, {"forget_all": "ticks"})["forget_all"] == ids
    assert ask(session, {"forget_all": ["ticks", "candles", "website_status"]})["forget_all"] == [
        candles["subscription"]["id"],
        status["subscription"]["id"],
    ]
    assert ask(session, {"forget_all": "ticks"})["forget_all"] == []


def test_authorize_opens_the_account_of_the_token(session: ServerSession) -> None:
    message = ask(session, {"authorize": "demo-token"})
    assert message["echo_req"] == {"authorize": "<not shown>"}
    authorized = message["authorize"]
    assert authorized["loginid"] == "VRTC1000001"
    assert (authorized["balance"], authorized["currency"]) == (10000, "USD")
    assert set(authorized["scopes"]) == SCOPES
    assert len(authorized["account_list"]) == len(ACCOUNTS)


def test_the_tokens_of_a_failing_authorize_are_masked_too(session: ServerSession) -> None:
    message = ask(session, {"authorize": "wrong", "tokens": ["demo-token"]})
    assert message["error"]["code"] == "InvalidToken"
    assert message["echo_req"] == {"authorize": "<not shown>", "tokens": "<not shown>"}
    assert session.logins == {}


def test_a_disabled_account_cannot_log_in(session: ServerSession) -> None:
    assert error(session, {"authorize": "shut"})["code"] == "DisabledClient"


def test_account_calls_need_a_login_and_its_scope(session: ServerSession) -> None:
    assert error(session, {"balance": 1}) == {
        "code": "AuthorizationRequired",
        "message": "Please log in.",
    }
    ask(session, {"authorize": "payer"})
    assert error(session, {"balance": 1})["code"] == "PermissionDenied"
    ask(session, {"authorize": "reader"})
    assert ask(session, {"balance": 1})["balance"] == {
        "balance": 12.34,
        "currency": "USD",
        "loginid": "CR90000001",
    }


def test_money_is_written_digit_for_digit(session: ServerSession) -> None:
    ask(session, {"authorize": "demo-token"})
    (message,) = answers(session, {"balance": 1}, START)
    assert '"balance":10000.00,' in encode(message)


def test_balances_of_all_accounts(session: ServerSession) -> None:
    ask(session, {"authorize": "demo-token"})
    balance = ask(session, {"balance": 1, "account": "all"})["balance"]
    assert balance["accounts"].keys() == {each.loginid for each in ACCOUNTS}
    assert balance["total"]["deriv"] == {"amount": 12.34, "currency": "USD"}
    other = {"balance": 1, "account": READER.loginid}
    assert error(session, other)["code"] == "PermissionDenied"


def test_several_tokens_open_several_accounts(session: ServerSession) -> None:
    ask(session, {"authorize": "demo-token", "tokens": ["reader"]})
    assert ask(session, {"balance": 1})["balance"]["loginid"] == "VRTC1000001"
    reader = {"balance": 1, "loginid": READER.loginid}
    assert ask(session, reader)["balance"]["loginid"] == READER.loginid
    stranger = {"balance": 1, "loginid": SHUT.loginid}
    assert error(session, stranger)["code"] == "AuthorizationRequired"


def test_a_balance_stream_tells_of_changes_to_its_account_only(session: ServerSession) -> None:
    ask(session, {"authorize": "demo-token"})
    first = ask(session, {"balance": 1, "subscribe": 1, "req_id": 5})
    demo = session.backend.accounts["VRTC1000001"]
    (news,) = balance_messages(session, demo)
    assert (news["req_id"], news["subscription"]) == (5, first["subscription"])
    assert news["balance"]["id"] == first["balance"]["id"] == first["subscription"]["id"]
    assert balance_messages(session, READER) == []
    assert error(session, {"balance": 1, "subscribe": 1})["code"] == "AlreadySubscribed"


def test_logout_ends_the_login_and_its_streams(session: ServerSession) -> None:
    ask(session, {"authorize": "demo-token"})
    ask(session, {"balance": 1, "subscribe": 1})
    assert ask(session, {"logout": 1})["logout"] == 1
    assert session.streams.by_id == {}
    assert error(session, {"balance": 1})["code"] == "AuthorizationRequired"


def test_a_new_login_ends_the_streams_of_the_former(session: ServerSession) -> None:
    ask(session, {"authorize": "demo-token"})
    ask(session, {"balance": 1, "subscribe": 1})
    ask(session, {"authorize": "reader"})
    assert session.streams.by_id == {}


def test_no_token_is_in_any_repr(session: ServerSession) -> None:
    ask(session, {"authorize": "demo-token"})
    assert "demo-token" not in repr(session)


@pytest.mark.parametrize("text", ["", "not json", "[1]", "1", "null", b"\xff", "{}"])
def test_what_is_no_request_is_a_bad_request(session: ServerSession, text: str | bytes) -> None:
    message = ask(session, parse(text))
    assert message == {
        "echo_req": {},
        "error": {
            "code": "BadRequest",
            "message": "The application sent an invalid request.",
        },
        "msg_type": "error",
    }


def test_an_unknown_call_is_unrecognised(session: ServerSession) -> None:
    message = ask(session, {"make_me_rich": 1, "req_id": 2})
    assert (message["msg_type"], message["req_id"]) == ("error", 2)
    assert message["error"]["code"] == "UnrecognisedRequest"


@pytest.mark.parametrize(
    ("request_", "text", "details"),
    [
        (
            {"ping": 2},
            "Input validation failed: ping",
            {"ping": "Not in enum list: 1."},
        ),
        (
            {"ping": True},
            "Input validation failed: ping",
            {"ping": "Expected integer - got boolean."},
        ),
        (
            {"ping": 1, "x": 1},
            "Input validation failed: Properties not allowed: x",
            {"x": "Properties not allowed: x."},
        ),
        (
            {"ticks_history": "R_100", "count": "five", "style": "bars"},
            "Input validation failed: end, count, style",
            {
                "end": "Missing property.",
                "count": "Expected integer - got string.",
                "style": "Not in enum list: candles, ticks.",
            },
        ),
        (
            {"ticks_history": "R_100", "end": "now"},
            "Input validation failed: end",
            {"end": "String does not match '^(latest|[0-9]{1,10})$'."},
        ),
        (
            {"ticks_history": "R_100", "end": "latest", "start": -1},
            "Input validation failed: start",
            {"start": "-1 < minimum(0)"},
        ),
        (
            {"ticks_history": "R_100", "end": "latest", "start": 10**10},
            "Input validation failed: start",
            {"start": "10000000000 > maximum(9999999999)"},
        ),
        (
            {"ticks_history": "R_100", "end": "latest", "count": 0},
            "Input validation failed: count",
            {"count": "0 < minimum(1)"},
        ),
        (
            {"forget": "short"},
            "Input validation failed: forget",
            {"forget": r"String does not match '^[\w-]{32,128}$'."},
        ),
        (
            {"ticks": ["R_100", 1]},
            "Input validation failed: ticks",
            {"ticks": "Expected string - got integer."},
        ),
        (
            {"ticks": 1.5},
            "Input validation failed: ticks",
            {"ticks": "Expected string - got number."},
        ),
        (
            {"authorize": "a", "tokens": ["b"] * 26},
            "Input validation failed: tokens",
            {"tokens": "Too many items: 26/25."},
        ),
        (
            {"ping": 1, "passthrough": None, "req_id": "1"},
            "Input validation failed: passthrough, req_id",
            {
                "passthrough": "Expected object - got null.",
                "req_id": "Expected integer - got string.",
            },
        ),
        (
            {"ticks": "R_100\n"},
            "Input validation failed: ticks",
            {"ticks": r"String does not match '^\w{2,30}$'."},
        ),
    ],
)
def test_a_malformed_request_is_told_field_by_field(
    session: ServerSession, request_: dict[str, Any], text: str, details: dict[str, str]
) -> None:
    assert error(session, request_) == {
        "code": "InputValidationFailed",
        "message": text,
        "details": details,
    }


DIGIT = {"contract_type": "DIGITMATCH", "barrier": 5, "amount": "10", "duration": "5"}


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        ({"ticks_history": "R_100", "end": START, "count": "3"}, "history"),
        ({"proposal": 1} | RISE | DIGIT, "proposal"),
        ({"buy": 1, "price": "10.00", "parameters": RISE | {"amount": "10.0"}}, "buy"),
        ({"statement": 1, "limit": "5", "date_from": str(START)}, "statement"),
    ],
)
def test_v3_takes_a_number_for_a_text_and_the_other_way_round(
    session: ServerSession, request_: dict[str, Any], payload: str
) -> None:
    ask(session, {"authorize": "demo-token"})
    reply = ask(session, request_)
    assert payload in reply
    assert reply["echo_req"] == request_


@pytest.mark.parametrize("dialect", [V3, OPTIONS])
@pytest.mark.parametrize(
    "request_",
    [
        {"time": 1.0},
        {"ticks_history": "R_100", "end": "latest", "count": 3.0},
        {"ticks_history": "R_100", "end": "latest", "style": "candles", "granularity": 60.0},
    ],
)
def test_a_number_without_a_fraction_is_an_integer(
    dialect: Dialect, request_: dict[str, Any]
) -> None:
    session = ServerSession(Backend(1, Market(1), {}), 1, dialect)
    reply = ask(session, request_)
    assert "error" not in reply
    assert repr(reply["echo_req"]) == repr(request_)
    error_ = error(session, {"ticks_history": "R_100", "end": "latest", "count": 2.5})
    assert error_["details"] == {"count": "Expected integer - got number."}


@pytest.mark.parametrize(
    "changed",
    [{"granularity": "60"}, {"count": "1e3"}, {"count": "3.5"}, {"count": "٣"}, {"end": True}],
)
def test_but_not_for_a_listed_value_nor_for_what_is_no_number(
    session: ServerSession, changed: dict[str, Any]
) -> None:
    request = {"ticks_history": "R_100", "end": "latest", "style": "candles"} | changed
    assert error(session, request)["code"] == "InputValidationFailed"


def test_the_options_api_takes_what_its_schemas_say() -> None:
    session = ServerSession(Backend(1, Market(1), {}), 1, OPTIONS)
    request = {"ticks_history": "R_100", "end": START}
    assert error(session, request)["code"] == "InputValidationFailed"
