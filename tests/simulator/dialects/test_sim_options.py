"""The simulator as a server of the Options API: its sockets, its REST API, its messages."""

import json
from decimal import Decimal
from typing import Any

import deriv_schemas
import pytest
import trio
from published import resolved, without_prose
from wire_peer import PUBLIC, START, TARGET, Peer, open_peer, open_stream, private_target

from derivtrio.simulator import SCOPES, Account, demo_account, open_simulator
from derivtrio.simulator.dialects.dialect import OPTIONS
from derivtrio.simulator.protocol.call_definitions import CALLS
from derivtrio.simulator.protocol.envelope import masked

needs_schemas = pytest.mark.skipif(
    not deriv_schemas.available(),
    reason=f"no official schemas in {deriv_schemas.ROOT}; DERIV_SCHEMAS can say where they are",
)

REAL = Account("ROT1", Decimal("5.00"), {"real-token": SCOPES}, is_virtual=False)
READER = Account("DOT7", Decimal("7.00"), {"reading-token": frozenset({"read"})})
LOCKED = Account("DOT8", Decimal("8.00"), {"locked-token": SCOPES}, is_disabled=True)
ACCOUNTS = "/trading/v1/options/accounts"
DEMO = demo_account().loginid
FAILED = "Input validation failed:"

RISE = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "CALL",
    "currency": "USD",
    "duration": 5,
    "duration_unit": "t",
    "underlying_symbol": "R_100",
    "barrier": "+0.30",
}
MULTIPLIER = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "MULTUP",
    "currency": "USD",
    "multiplier": 100,
    "underlying_symbol": "R_100",
}
ACCUMULATOR = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "ACCU",
    "currency": "USD",
    "growth_rate": 0.03,
    "limit_order": {"take_profit": 5},
    "underlying_symbol": "R_100",
}

#: At least one valid request of each kind, in an order in which they can be made.
_POSSIBLE: list[dict[str, Any]] = [
    {"ping": 1, "req_id": 1, "passthrough": {"note": "hi"}},
    {"time": 1},
    {"active_symbols": "brief"},
    {"active_symbols": "full", "contract_type": ["CALL", "HIGHER"]},
    {"trading_times": "today"},
    {"contracts_for": "R_50"},
    {"ticks": "R_50", "subscribe": 1},
    {"ticks": ["1HZ10V", "stpRNG", "frxUSDJPY", "JD10", "BOOM1000", "RDBEAR"]},
    {"ticks_history": "R_100", "end": "latest", "count": 5},
    {"ticks_history": "R_100", "end": "latest", "count": 5, "subscribe": 1},
    {"ticks_history": "frxEURUSD", "end": "latest", "style": "candles", "adjust_start_time": 1},
    {"ticks_history": "R_10", "end": "latest", "style": "candles", "subscribe": 1},
    {"balance": 1},
    {"balance": 1, "subscribe": 1},
    {"proposal": 1, **RISE},
    {"proposal": 1, "subscribe": 1, **RISE},
    {"proposal": 1, **MULTIPLIER},
    {"proposal": 1, **ACCUMULATOR},
    {"transaction": 1, "subscribe": 1},
    {"proposal_open_contract": 1},
    {"proposal_open_contract": 1, "subscribe": 1},
    {"buy": "1", "price": 100, "parameters": RISE},
    {"buy": "1", "price": 100, "parameters": RISE | {"underlying_symbol": "1HZ100V"}},
    {"buy": "1", "price": 100, "parameters": MULTIPLIER | {"cancellation": "60m"}},
    {"cancel": 310_000_000_003},
    {"buy": "1", "price": 100, "parameters": MULTIPLIER, "subscribe": 1},
    {"contract_update": 1, "contract_id": 310_000_000_004, "limit_order": {"stop_loss": 5}},
    {"contract_update_history": 1, "contract_id": 310_000_000_004},
    {"proposal_open_contract": 1, "contract_id": 310_000_000_004},
    {"buy": "1", "price": 100, "parameters": ACCUMULATOR},
    {"portfolio": 1, "contract_type": ["CALL", "MULTUP", "ACCU"]},
    {"sell": 310_000_000_004, "price": 0},
    {"statement": 1, "description": 1, "limit": 10, "offset": 1, "action_type": "buy"},
    {"statement": 1},
    {"profit_table": 1, "description": 1, "sort": "ASC", "date_from": "2020-1-1"},
    {"profit_table": 1},
    {"forget": "d1ee7d0d-3ca9-fbb4-720b-5312d487185b"},
    {"forget_all": "balance"},
    {"logout": 1},
]
REQUESTS = [request for request in _POSSIBLE if next(iter(request)) in OPTIONS.calls]


@needs_schemas
@pytest.mark.parametrize("call", sorted(OPTIONS.calls))
def test_the_table_of_calls_is_the_official_one(call: str) -> None:
    official = deriv_schemas.load(call, "send", "options")
    ours = OPTIONS.calls[call]
    assert _sorted(ours.fields) == _sorted(
        without_prose(resolved(official["properties"], official))
    )
    assert set(ours.required) == set(official["required"])
    assert set(ours.scopes) == set(official.get("auth_scopes", []))


@needs_schemas
def test_every_call_that_both_generations_have_is_served_on_both() -> None:
    assert set(OPTIONS.calls) == set(CALLS) & set(deriv_schemas.calls("options"))


def test_each_call_has_a_request_here() -> None:
    assert {next(iter(request)) for request in REQUESTS} == set(OPTIONS.calls)


async def test_both_directions_keep_to_the_schemas(autojump_clock: object) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        open_peer(sim, await private_target(sim)) as peer,
    ):
        kinds = set()
        for request in REQUESTS:
            message = await peer.ask(request)  # which checks both
            assert "error" not in message
            kinds.add(message["msg_type"])
            while message["echo_req"].keys() != request.keys():
                message = await peer.receive()
            assert message["echo_req"] == request
        for _ in range(60):
            kinds.add((await peer.receive())["msg_type"])
        assert kinds >= {"tick", "ohlc", "history", "candles", "balance", "forget_all", "logout"}


async def test_a_symbol_is_listed_in_the_words_of_this_generation(autojump_clock: object) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        open_peer(sim, PUBLIC) as peer,
    ):
        listed = (await peer.ask({"active_symbols": "brief"}))["active_symbols"]
        assert listed[4] == {
            "underlying_symbol": "R_100",
            "underlying_symbol_name": "Volatility 100 Index",
            "underlying_symbol_type": "stockindex",
            "market": "synthetic_index",
            "submarket": "random_index",
            "subgroup": "synthetics",
            "pip_size": 0.01,
            "exchange_is_open": 1,
            "is_trading_suspended": 0,
            "trade_count": 0,
        }


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"authorize": "demo-token"}, "UnrecognisedRequest", "Unrecognised request."),
        ({"website_status": 1}, "UnrecognisedRequest", "Unrecognised request."),
        ({"exchange_rates": 1}, "UnrecognisedRequest", "Unrecognised request."),
        (
            {"contracts_list": 1},
            "NotSimulated",
            "The simulator does not have contracts_list, though Deriv does.",
        ),
        (
            {"balance": 1, "loginid": "VRTC1000001"},
            "InputValidationFailed",
            f"{FAILED} Properties not allowed: loginid",
        ),
        (
            {"contracts_for": "R_100", "product_type": "basic", "symbol": "R_100"},
            "InputValidationFailed",
            f"{FAILED} Properties not allowed: product_type, Properties not allowed: symbol",
        ),
        ({"balance": 1}, "AuthorizationRequired", "Please log in."),
        ({"logout": 1}, "AuthorizationRequired", "Please log in."),
    ],
    ids=str,
)
async def test_what_the_public_socket_refuses(
    autojump_clock: object, request_: dict[str, Any], code: str, message: str
) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim, PUBLIC) as peer:
        await peer.send(request_, checked=False)
        answer = await peer.receive()
        assert (answer["error"]["code"], answer["error"]["message"]) == (code, message)
        assert answer["echo_req"] == masked(request_)


async def test_an_account_sees_its_own_balance_change(autojump_clock: object) -> None:
    async with (
        open_simulator(port=None, accounts=[demo_account(), REAL]) as sim,
        open_peer(sim, await private_target(sim, "ROT1")) as peer,
    ):
        first = (await peer.ask({"balance": 1, "subscribe": 1}))["balance"]
        assert (first["balance"], first["loginid"]) == (5.0, "ROT1")
        sim.deposit(DEMO, Decimal(1))
        sim.deposit("ROT1", Decimal("2.50"))
        assert (await peer.receive())["balance"]["balance"] == 7.5


async def test_a_password_is_for_one_connection_within_two_minutes(autojump_clock: object) -> None:
    async with open_simulator(port=None, accounts=[demo_account(), REAL]) as sim:
        used, late, other = [await private_target(sim) for _ in range(3)]
        assert used.startswith("/trading/v1/options/ws/demo?otp=")
        assert len({used, late, other}) == 3
        async with open_peer(sim, used) as peer:
            await peer.ask({"ping": 1})
        await trio.sleep(119)
        async with open_peer(sim, other):
            pass
        await trio.sleep(1)
        real = (await private_target(sim, "ROT1")).replace("/real", "/demo")
        for refused in (used, late, real, used.partition("=")[0] + "=x"):
            status, body = await Peer(await open_stream(sim)).rejection(refused)
            assert (status, json.loads(body)["errors"]) == (
                401,
                [
                    {
                        "status": 401,
                        "code": "Unauthorized",
                        "message": "Invalid or expired OTP token",
                    }
                ],
            )


@pytest.mark.parametrize("kind", ["demo", "real"])
async def test_a_handshake_without_a_password_is_refused(autojump_clock: object, kind: str) -> None:
    async with open_simulator(port=None) as sim:
        path = f"/trading/v1/options/ws/{kind}"
        status, body = await Peer(await open_stream(sim)).rejection(path)
        assert (status, json.loads(body)) == (
            400,
            {
                "errors": [
                    {
                        "status": 400,
                        "code": "ValidationError",
                        "message": "OTP parameter is required",
                        "field": "otp",
                    }
                ],
                "meta": {"endpoint": path, "method": "GET", "timing": 0},
            },
        )


async def test_passwords_follow_from_the_seed(autojump_clock: object) -> None:
    seen = []
    for seed in (1, 1, 2):
        async with open_simulator(seed, port=None) as sim:
            seen.append(await private_target(sim))
    assert seen[0] == seen[1] != seen[2]


async def test_v3_and_the_options_api_are_served_side_by_side(autojump_clock: object) -> None:
    async with (
        open_simulator(port=None) as sim,
        open_peer(sim, TARGET) as old,
        open_peer(sim, PUBLIC) as new,
    ):
        assert "symbol" in (await old.ask({"active_symbols": "brief"}))["active_symbols"][0]
        assert "symbol" not in (await new.ask({"active_symbols": "brief"}))["active_symbols"][0]


REST_CASES = [
    (f"POST {ACCOUNTS}/{DEMO}/otp", "demo-token", 200, None),
    (f"GET {ACCOUNTS}", "demo-token", 200, None),
    (f"POST {ACCOUNTS}/{DEMO}/otp", "wrong", 401, "Unauthorized"),
    (f"POST {ACCOUNTS}/{DEMO}/otp", "", 401, "Unauthorized"),
    (f"POST {ACCOUNTS}/{DEMO}/otp", "real-token", 403, "AccessDenied"),
    (f"POST {ACCOUNTS}/DOT7/otp", "reading-token", 403, "AccessDenied"),
    (f"POST {ACCOUNTS}/DOT8/otp", "locked-token", 403, "UnauthorizedAccess"),
    (f"POST {ACCOUNTS}/DOT9/otp", "demo-token", 404, "AccountNotFound"),
    (f"GET {ACCOUNTS}/{DEMO}/otp", "demo-token", 404, "NotFound"),
    (f"POST {ACCOUNTS}/", "demo-token", 404, "NotFound"),
]


@pytest.mark.parametrize(("line", "token", "status", "code"), REST_CASES)
async def test_rest_answers(
    autojump_clock: object, line: str, token: str, status: int, code: str | None
) -> None:
    accounts = [demo_account(), REAL, READER, LOCKED]
    async with open_simulator(port=None, accounts=accounts) as sim:
        got, _, answer = await ask_rest(sim, line, token)
        assert got == status
        assert answer["meta"].keys() == {"endpoint", "method", "timing"}
        if code is None:
            assert answer.keys() == {"data", "meta"}
        else:
            (error,) = answer["errors"]
            assert (error["status"], error["code"]) == (status, code)
            assert error["message"]


async def test_the_url_leads_to_where_the_request_went(autojump_clock: object) -> None:
    async with open_simulator(port=None, accounts=[REAL]) as sim:
        _, _, answer = await ask_rest(sim, f"POST {ACCOUNTS}/ROT1/otp", "real-token")
        host, target = answer["data"]["url"].split("/", 3)[2:]
        assert host == "here:8"
        async with open_peer(sim, f"/{target}") as peer:
            assert (await peer.ask({"balance": 1}))["balance"]["loginid"] == "ROT1"


@needs_schemas
async def test_rest_answers_keep_to_the_schemas(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        _, _, listed = await ask_rest(sim, f"GET {ACCOUNTS}", "demo-token")
        deriv_schemas.validator("get_accounts", "receive", "options").validate(listed)
        assert listed["data"][0]["account_id"] == DEMO
        _, _, otp = await ask_rest(sim, f"POST {ACCOUNTS}/{DEMO}/otp", "demo-token")
        deriv_schemas.validator("websocket", "receive", "options").validate(otp)


async def test_an_app_id_is_required(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        status, _, answer = await ask_rest(
            sim, f"POST {ACCOUNTS}/{DEMO}/otp", "demo-token", app_id=None
        )
        assert (status, answer["errors"][0]["code"]) == (400, "ValidationError")


async def test_two_calls_at_once_for_one_account_trip_the_breaker(autojump_clock: object) -> None:
    answers: list[tuple[int, Any, Any]] = []

    async def ask(account: Account, token: str) -> None:
        line = f"POST {ACCOUNTS}/{account.loginid}/otp"
        answers.append(await ask_rest(sim, line, token))

    async with open_simulator(port=None, accounts=[demo_account(), REAL]) as sim:
        async with trio.open_nursery() as nursery:
            for account, token in ((demo_account(), "demo-token"), (REAL, "real-token")):
                nursery.start_soon(ask, account, token)
                nursery.start_soon(ask, account, token)
        assert sorted(status for status, _, _ in answers) == [200, 200, 503, 503]
        busy = next(answer for status, _, answer in answers if status == 503)
        assert busy["errors"][0]["code"] == "CircuitBreakerBusy"
        assert (await ask_rest(sim, f"POST {ACCOUNTS}/{DEMO}/otp", "demo-token"))[0] == 200


async def test_rest_faults_can_be_scripted(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        sim.faults.rest(429, "RateLimit", "Slowly.", retry_after=7, times=2)
        for _ in range(2):
            status, headers, answer = await ask_rest(sim, f"GET {ACCOUNTS}", "demo-token")
            assert (status, headers["retry-after"]) == (429, "7")
            assert answer["errors"] == [{"status": 429, "code": "RateLimit", "message": "Slowly."}]
        assert (await ask_rest(sim, f"GET {ACCOUNTS}", "demo-token"))[0] == 200
        sim.faults.rest(500)
        sim.faults.clear()
        assert (await ask_rest(sim, f"GET {ACCOUNTS}", "demo-token"))[0] == 200


async def test_it_is_in_good_health(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        assert (await ask_rest(sim, "GET /v1/health", ""))[::2] == (200, "OK")


async def test_the_addresses_are_those_of_one_port() -> None:
    async with open_simulator() as sim:
        server = sim.url.removeprefix("ws://").partition("/")[0]
        assert sim.rest_url == f"http://{server}"
        assert sim.options_url == f"ws://{server}/trading/v1/options/ws/public"
    async with open_simulator(port=None) as sim:
        for address in ("url", "options_url", "rest_url"):
            with pytest.raises(RuntimeError, match="no TCP port"):
                getattr(sim, address)


async def ask_rest(
    sim: Any, line: str, token: str, app_id: str | None = "1089"
) -> tuple[int, dict[str, str], Any]:
    """Return the status, the headers and the body of the answer to a request."""
    stream = await open_stream(sim)
    fields = ["Host: here:8", f"Authorization: Bearer {token}", "Content-Length: 0"]
    fields += [] if app_id is None else [f"Deriv-App-ID: {app_id}"]
    await stream.send_all("\r\n".join([f"{line} HTTP/1.1", *fields, "", ""]).encode())
    data = b""
    while chunk := await stream.receive_some():
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (field.split(": ", 1) for field in rest)}
    answer = json.loads(body) if headers["content-type"] == "application/json" else body.decode()
    return int(first.split()[1]), headers, answer


def _sorted(schema: Any) -> Any:
    """Return *schema* with what has no order put into one."""
    if isinstance(schema, list):
        return sorted((_sorted(item) for item in schema), key=str)
    if isinstance(schema, dict):
        return {name: _sorted(part) for name, part in schema.items()}
    return schema
