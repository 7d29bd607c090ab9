"""Requests that make no sense are refused before anything is sent, and the error says why."""

import math
import re
from collections.abc import Iterator
from decimal import Decimal, FloatOperation, localcontext
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import InvalidRequest, Settings
from derivtrio.api.catalog import PUBLISHED
from derivtrio.api.schema import check_of
from derivtrio.api.validation import check_request
from derivtrio.api.words import described
from derivtrio.calls.call import api_call

HISTORY = {"ticks_history": "R_100", "end": "latest"}
PARAMETERS = {"contract_type": "CALL", "currency": "USD", "symbol": "R_100"}
SECRET = "a1-Tok3nOfMine!"


class Style(StrEnum):
    CANDLES = "candles"


def test_nothing_is_suggested_that_is_not_much_alike() -> None:
    kinds = ("CALL", "PUT", "SNOWUP", "SNOWDOWN", "ONETOUCH", "NOTOUCH")
    complaint = check_of(kinds)("NOPE")
    assert complaint is not None
    assert "did you mean" not in complaint[1]
    assert "did you mean 'CALL'?" in (check_of(kinds)("CAL") or ("", ""))[1]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            {"tick_history": "R_100", "end": "latest"},
            "no call 'tick_history'; did you mean 'ticks_h",
        ),
        (
            {"end": "latest", "tick_history": "R_100"},
            "no call 'tick_history'; did you mean 'ticks_h",
        ),
        ({"zzzzz": 1}, "the v3 API has no call 'zzzzz' (Settings(check_requests=False)"),
        ({"contracts_list": 1}, "the v3 API has no call 'contracts_list'; the Options API has it"),
        (
            {**HISTORY, "granularty": 60},
            "granularty is no member here; did you mean 'granularity'?",
        ),
        ({"ping": 1, "zzzzz": 1}, "zzzzz is no member here; there are passthrough, ping, req_id"),
        (
            {"ticks_history": "R_100"},
            "end is missing; it is a text such as 'latest' or '1700000000'",
        ),
        (
            {**HISTORY, "end": 1700000000},
            "an epoch in seconds: write '1700000000', with quotes, not 1700000000",
        ),
        (
            {**HISTORY, "ticks_history": "R 100"},
            "ticks_history is a text such as 'R_100', of 2 to 30 ",
        ),
        ({**HISTORY, "count": "5"}, "count is a whole number, not '5'"),
        ({**HISTORY, "count": 5.0}, "count is a whole number, not 5.0"),
        ({**HISTORY, "count": True}, "count is a whole number, not True"),
        (
            {**HISTORY, "start": -1},
            "start is a whole number, at least 0 and at most 9999999999, not",
        ),
        (
            {**HISTORY, "style": "candle"},
            "one of 'candles', 'ticks', not 'candle'; did you mean 'ca",
        ),
        ({**HISTORY, "granularity": 61}, "granularity is one of 60, 120, 180, "),
        ({"ping": True}, "ping: ping is 1, not True"),
        ({"ping": 1.0}, "ping: ping is 1, not 1.0"),
        ({"ticks": ["R_100", ""]}, "ticks: ticks[1] is a text such as 'R_100'"),
        (
            {"ticks": 5},
            "or a list, each item a text such as 'R_100', of 2 to 30 letters, digits and '_', not",
        ),
        ({"forget_all": {"ticks": 1}}, "not a dict"),
        ({"buy": "1", "price": 1, "parameters": 5}, "buy: parameters is an object, not 5"),
        (
            {"buy": "1", "price": 1, "parameters": {**PARAMETERS, "limit_order": {"stop_los": 1}}},
            "buy: parameters.limit_order.stop_los is no member here; did you mean 'stop_loss'?",
        ),
        ({"buy": "1", "price": 1, "parameters": {}}, "parameters.contract_type is missing"),
        ({"ping": 1, "passthrough": 5}, "ping: passthrough is an object, not 5"),
        ({"ping": 1, "passthrough": ["x"]}, "ping: passthrough is an object, not a list"),
        ({"ping": 1, "req_id": "x"}, "ping: req_id is a whole number, not 'x'"),
        ({"balance": 1, "account": "b" * 99}, "not a text of 99 characters"),
        ({"transaction": 1}, "transaction: subscribe is missing; it is 1"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(request_: dict[str, Any], words: str) -> None:
    name = next((name for name in request_ if name not in ("end", "subscribe")), "")
    with pytest.raises(InvalidRequest) as caught:
        check_request(name, request_, "v3")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"buy": 1, "price": 10, "parameters": PARAMETERS}, "write '1', with quotes, not 1"),
        (
            {"buy": "1", "price": 1, "parameters": {**PARAMETERS, "barrier": 5}},
            "parameters.barrier is a text such as '+0.30' or '1234.5': write '5', with quotes",
        ),
        (
            {"proposal": 1, **PARAMETERS, "barrier": Decimal("-0.30")},
            "barrier is a text such as '+0.30' or '1234.5': write '-0.30', with quotes",
        ),
        ({"profit_table": 1, "date_from": 1700000000}, "write '1700000000', with quotes"),
        ({**HISTORY, "end": 1e300}, "an epoch in seconds, not 1e+300"),
        ({**HISTORY, "end": 10**5000}, "end is a text such as 'latest'"),
        ({"authorize": 123456789}, "not this int"),
        ({"authorize": "to ken"}, "not this text (a secret, so not shown)"),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, dict) else next(iter(value)),
)
def test_g18_a_number_for_a_text_is_told_what_to_write(
    request_: dict[str, Any], words: str
) -> None:
    name = next(name for name in request_ if name not in ("end", "subscribe"))
    with pytest.raises(InvalidRequest) as caught:
        check_request(name, request_, "v3")
    assert words in str(caught.value)


def test_no_message_quotes_a_regular_expression() -> None:
    for calls in PUBLISHED.values():
        for call in calls.values():
            for shape in shapes_in(call["takes"]):
                assert not re.search(r"\^|\$|\\|\[0-9|\(\?", described(shape)), shape


def shapes_in(shape: Any) -> Iterator[Any]:
    if isinstance(shape, dict | list):
        for each in shape.values() if isinstance(shape, dict) else shape:
            yield from shapes_in(each)
    elif isinstance(shape, str):
        yield shape


@pytest.mark.parametrize(
    "request_",
    [
        {**HISTORY, "req_id": 5, "passthrough": {"n": 1}},
        {**HISTORY, "style": Style.CANDLES, "granularity": 60},
        MappingProxyType(HISTORY),
        {"ticks": ("R_100", "R_50")},
        {"forget_all": frozenset({"ticks", "candles"})},
        {"buy": "1", "price": Decimal("1.10"), "parameters": MappingProxyType(PARAMETERS)},
        {"buy": "1", "price": 1.5, "subscribe": 1},
        {"p2p_order_review": 1, "order_id": "1", "rating": 5, "recommended": None},
        {"set_financial_assessment": 1, "whatever_else": "yes"},
    ],
    ids=str,
)
def test_what_can_be_meant_passes(request_: dict[str, Any]) -> None:
    check_request(next(iter(request_)), request_, "v3")


def test_each_generation_has_its_own_fields() -> None:
    request = {"proposal": 1, **PARAMETERS}
    check_request("proposal", request, "v3")
    with pytest.raises(InvalidRequest, match="symbol is no member here; did you mean 'underlying_"):
        check_request("proposal", request, "options")
    request["symbl"] = request.pop("symbol")
    with pytest.raises(InvalidRequest, match="symbl is no member here; did you mean 'underlying_"):
        check_request("proposal", request, "options")
    with pytest.raises(InvalidRequest, match="the Options API has no call 'authorize'; the v3 API"):
        check_request("authorize", {"authorize": "abc"}, "options")


def test_of_a_generation_that_is_not_known_nothing_is_checked() -> None:
    check_request("invented", {"invented": 1}, "v4")


@pytest.mark.parametrize(
    "request_",
    [
        {"authorize": SECRET},
        {"authorize": [SECRET]},
        {"authorize": SECRET.encode()},
        {"authorise": SECRET},
        {"authorize": "abc", "tokns": [SECRET]},
        {"authorize": "abc", "tokens": [SECRET]},
        {
            "mt5_password_change": 1,
            "login": "MTR1",
            "old_password": SECRET,
            "new_password": [SECRET],
        },
        {"copy_start": SECRET},
        {"verify_email": "a@b.com", "type": "x", "url_parameters": {"utm_medium": [SECRET]}},
    ],
    ids=str,
)
def test_g13_no_secret_is_in_the_refusal(request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(next(iter(request_)), request_, "v3")
    error = caught.value
    assert SECRET not in f"{error} {error!r} {error.request} {error.details}"


def test_shapes_are_described_in_words() -> None:
    assert described("any") == "any"
    assert described("boolean") == "true or false"
    assert described(["null", "number >0..5"]) == "null or a number, more than 0 and at most 5"
    assert described("secret 4..50 ~ ^x") == "a text of 4 to 50 characters in Deriv's own form"
    assert described(tuple(range(13))).endswith("11, … (13 values)")


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        ("number >0..", (1, 0.5, Decimal(1)), (0, -1, Decimal(0), float("nan"), None, True, "1")),
        ("number ..5.5", (5.5, -3), (5.6,)),
        ("integer 1..3", (1, 3), (0, 4, 2.0)),
        ("text 2..3", ("ab", "abc"), ("a", "abcd", 5)),
        ("boolean", (True,), (1, None)),
        ("object", ({}, MappingProxyType({})), ([], None)),
        ("any", (None, [], "x"), ()),
        (["null", ("a",)], (None, "a"), ("b", 1, [])),
        ({"[]": (0, 1)}, ([], [0, 1], (1,)), ("01", [2], [True], {"a": 1})),
        ({"a!": "text", "*": "integer"}, ({"a": ""}, {"a": "", "b": 1}), ({}, {"a": "", "b": ""})),
    ],
    ids=str,
)
def test_shapes_are_checked(shape: Any, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    check = check_of(shape)
    assert [value for value in good if check(value) is not None] == []
    assert [value for value in bad if check(value) is None] == []
    with localcontext() as context:
        context.traps[FloatOperation] = True  # decimals are not compared with floats
        assert [value for value in good if check(value) is not None] == []


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({**HISTORY, "count": math.nan}, "count: Out of range"),
        ({"buy": "1", "price": 1, "parameters": {"amount": math.inf}}, "parameters.amount: Out of"),
        ({"buy": "1", "price": Decimal("NaN")}, "price: NaN is not a number that JSON has"),
        ({"time": 1, "passthrough": {"a": [1, object()]}}, "passthrough.a.1: Encoding objects of"),
        ({"ticks": "\ud800"}, "ticks: 'utf-8' codec can't encode"),
    ],
)
def test_where_something_is_no_json_is_said(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        api_call(request_)
    assert words in str(caught.value)


async def test_nothing_is_sent_of_a_request_that_is_refused(autojump_clock: Any) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        with pytest.raises(InvalidRequest, match="did you mean 'time'"):
            await client.call({"tme": 1})
        with pytest.raises(InvalidRequest, match="did you mean 'passthrough'"):
            await client.call({"time": 1, "pasthrough": {}})
        with pytest.raises(InvalidRequest, match="passthrough is an object, not 5"):
            await client.call({"time": 1, "passthrough": 5})
        with pytest.raises(InvalidRequest, match="req_id is a whole number, not 'x'"):
            await client.call({"time": 1, "req_id": "x"})
        with pytest.raises(InvalidRequest, match="req_id is a whole number, not 'x'"):
            client.subscribe({"ticks": "R_100", "req_id": "x"})
        with pytest.raises(InvalidRequest, match="stop_los is no member"):
            client.subscribe({"buy": "1", "price": 1, "parameters": {"stop_los": 1}})
        with pytest.raises(InvalidRequest, match="did you mean 'ticks'"):
            client.subscribe({"tiks": "R_100"})
        assert server.received == []
        await client.send({"tme": 1})  # raw messages are the user's own affair
        await client.call({"time": 1})
    assert [next(iter(request)) for _, request in server.received] == ["tme", "time"]


async def test_the_endpoint_says_which_generation_is_checked(autojump_clock: Any) -> None:
    async with open_server() as server:
        server.generation = "options"
        async with derivtrio.open_client(endpoint=server) as client:
            with pytest.raises(
                InvalidRequest, match="the Options API has no call 'exchange_rates'"
            ):
                await client.call({"exchange_rates": 1, "base_currency": "USD"})
    assert server.received == []


async def agree(peer: Peer, request: Request) -> None:
    await peer.reply(request, answer=1)


async def test_unchecked_requests_go_to_the_server_as_they_are(autojump_clock: Any) -> None:
    settings = Settings(check_requests=False, pacing=False)
    async with (
        open_server(agree) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
    ):
        requests = [
            {"invented": {"x": 1}},
            {"time": "now"},
            {"ticks_history": 5, "granularty": 61, "passthrough": 5},
            {"authorize": "has space", "tokens": "one"},
            {"contracts_list": 1},  # of the other generation
            {"buy": 1},
            {"transaction": 1},
        ]
        for request in requests:
            await client.call(request)
        streams: list[dict[str, Any]] = [{"invented": 1}, {"ticks": [], "passthrough": 5}]
        for request in streams:
            async with client.subscribe(request):
                pass
        api: Any = client.api
        await api.time("now", passthrough=5)
        await api.ticks_history(granularty=61)
        await api.transaction()
        await api.contracts_list()
    requests += [{**request, "subscribe": 1} for request in streams]
    requests += [
        {"time": "now", "passthrough": 5},
        {"ticks_history": 1, "granularty": 61},
        {"transaction": 1},
        {"contracts_list": 1},
    ]
    sent = [dict(request) for _, request in server.received]
    for request in sent:
        del request["req_id"]
    assert sent == requests
