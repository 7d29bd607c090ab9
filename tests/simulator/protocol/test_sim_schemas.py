"""The simulator's idea of the API, held against the published one."""

import json
from typing import Any

import deriv_schemas
import pytest
from asking import answers
from jsonschema import ValidationError
from published import resolved, without_prose
from wire_peer import START, open_peer

from derivtrio.simulator import open_simulator
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.protocol.call_definitions import CALLS
from derivtrio.simulator.sessions.session import Backend, ServerSession

pytestmark = pytest.mark.skipif(
    not deriv_schemas.available(),
    reason=f"no official schemas in {deriv_schemas.ROOT}; DERIV_SCHEMAS can say where they are",
)

RISE = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "CALL",
    "currency": "USD",
    "duration": 5,
    "duration_unit": "t",
    "symbol": "R_100",
    "barrier": "+0.30",
}
MULTIPLIER = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "MULTUP",
    "currency": "USD",
    "multiplier": 100,
    "symbol": "R_100",
}
ACCUMULATOR = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "ACCU",
    "currency": "USD",
    "growth_rate": 0.03,
    "limit_order": {"take_profit": 5},
    "symbol": "R_100",
}

#: At least one valid request of each kind, in an order in which they can be made.
REQUESTS: list[dict[str, Any]] = [
    {"ping": 1, "req_id": 1, "passthrough": {"note": "hi"}},
    {"time": 1},
    {"website_status": 1},
    {"website_status": 1, "subscribe": 1},
    {"active_symbols": "brief", "product_type": "basic"},
    {"active_symbols": "full"},
    {"trading_times": "today"},
    {"trading_times": "2026-07-04"},
    {"contracts_for": "R_50", "currency": "USD"},
    {"ticks": "R_50", "subscribe": 1},
    {"ticks": ["1HZ10V", "stpRNG", "frxUSDJPY", "JD10", "BOOM1000", "RDBEAR"]},
    {"ticks_history": "R_100", "end": "latest", "count": 5},
    {"ticks_history": "R_100", "end": "latest", "count": 5, "subscribe": 1},
    {"ticks_history": "frxEURUSD", "end": "latest", "style": "candles", "adjust_start_time": 1},
    {"ticks_history": "R_10", "end": "latest", "style": "candles", "subscribe": 1},
    {"authorize": "demo-token"},
    {"balance": 1},
    {"balance": 1, "account": "all"},
    {"balance": 1, "subscribe": 1},
    {"proposal": 1, **RISE},
    {"proposal": 1, "subscribe": 1, **RISE},
    {"proposal": 1, **MULTIPLIER},
    {"proposal": 1, **ACCUMULATOR},
    {"transaction": 1, "subscribe": 1},
    {"proposal_open_contract": 1},
    {"proposal_open_contract": 1, "subscribe": 1},
    {"buy": "1", "price": 100, "parameters": RISE},
    {"buy": "1", "price": 100, "parameters": RISE | {"symbol": "1HZ100V"}, "subscribe": 1},
    {"buy": "1", "price": 100, "parameters": MULTIPLIER | {"cancellation": "60m"}},
    {"cancel": 310_000_000_003},
    {"buy": "1", "price": 100, "parameters": MULTIPLIER},
    {"contract_update": 1, "contract_id": 310_000_000_004, "limit_order": {"stop_loss": 5}},
    {"contract_update_history": 1, "contract_id": 310_000_000_004},
    {"proposal_open_contract": 1, "contract_id": 310_000_000_004},
    {"buy": "1", "price": 100, "parameters": ACCUMULATOR},
    {"portfolio": 1, "contract_type": ["CALL", "MULTUP", "ACCU"]},
    {"sell": 310_000_000_004, "price": 0},
    {"sell_expired": 1},
    {"topup_virtual": 1},
    {"statement": 1, "description": 1, "limit": 10, "offset": 1, "action_type": "buy"},
    {"statement": 1},
    {"profit_table": 1, "description": 1, "sort": "ASC", "date_from": "2020-1-1"},
    {"profit_table": 1},
    {"forget": "d1ee7d0d-3ca9-fbb4-720b-5312d487185b"},
    {"forget_all": "balance"},
    {"logout": 1},
]


@pytest.mark.parametrize("call", sorted(CALLS))
def test_the_catalogue_is_the_official_one(call: str) -> None:
    official = deriv_schemas.load(call, "send")
    assert CALLS[call].fields == without_prose(resolved(official["properties"], official))
    assert set(CALLS[call].required) == set(official["required"])
    assert set(CALLS[call].scopes) == set(official.get("auth_scopes", []))


def test_each_call_has_a_request_here() -> None:
    assert {next(iter(request)) for request in REQUESTS} == set(CALLS)


async def test_both_directions_keep_to_the_schemas(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        kinds = set()
        for request in REQUESTS:
            message = await peer.ask(request)  # which checks both
            assert "error" not in message
            kinds.add(message["msg_type"])
            while message["echo_req"].keys() != request.keys():
                message = await peer.receive()
        for _ in range(60):
            kinds.add((await peer.receive())["msg_type"])
        assert kinds >= {"tick", "ohlc", "history", "candles", "balance", "forget_all", "logout"}
        assert kinds >= {"proposal", "buy", "transaction", "proposal_open_contract", "sell"}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_the_published_example_is_understood(call: str) -> None:
    session = ServerSession(Backend(1, Market(1), {}), number=1)
    example = _published_example(call)
    (message, *_) = answers(session, example, START)
    assert message.get("error", {}).get("code") not in ("InputValidationFailed", "BadRequest")


def test_the_helper_notices_what_is_not_in_the_schema() -> None:
    with pytest.raises(ValidationError):
        deriv_schemas.check_message({"echo_req": {"ping": 1}, "msg_type": "ping", "ping": "pang"})
    with pytest.raises(ValidationError):
        deriv_schemas.check_request({"ping": 1, "x": 1})


def test_every_published_schema_can_be_used() -> None:
    for call in deriv_schemas.calls():
        for direction in ("send", "receive"):
            deriv_schemas.validator(call, direction).is_valid({call: 1})


def _published_example(call: str) -> dict[str, Any]:
    example: dict[str, Any] = json.loads(
        (deriv_schemas.ROOT / "v3" / call / "example.json").read_text()
    )
    return example
