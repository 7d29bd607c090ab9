"""A walk of every call of both catalogues, with the client, at the simulator.

Each call is answered by a reply that its published schema allows, or by the simulator's honest
`NotSimulated`, and by nothing else. The requests are the published examples, changed where they
name something that has to exist first.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import deriv_schemas
import pytest
import trio
from deriv_schemas import CALLS, WRONG_EXAMPLES

import derivtrio
from derivtrio import ApiError, Client
from derivtrio.api.catalog import PUBLISHED, entry
from derivtrio.api.validation import only_streams
from derivtrio.simulator import DEMO_TOKEN, Simulator, open_simulator

pytestmark = pytest.mark.skipif(
    not deriv_schemas.available(), reason="Deriv's schemas are not at hand"
)

Request = dict[str, Any]

#: A Tuesday, 22:13:20 UTC.
START = 1_700_000_000

_BOTH = frozenset(
    "active_symbols balance buy cancel contract_update contract_update_history contracts_for"
    " forget forget_all logout ping portfolio profit_table proposal proposal_open_contract sell"
    " statement ticks ticks_history time trading_times transaction".split()
)

#: The calls that the simulator answers; the others it says it has not.
SIMULATED = {
    "v3": _BOTH | {"authorize", "sell_expired", "topup_virtual", "website_status"},
    "options": _BOTH,
}

REPLIES = [call for call in CALLS if not only_streams(call[1], call[0])]
STREAMS = [(g, name) for g, name in CALLS if (found := entry(name, g)) and found.streams]

#: The streams of which only the first message comes: the site's status does not change here.
SILENT = {"website_status"}

#: What the published examples of v3 should have said to be allowed by their schemas.
CORRECTED: dict[str, Request] = {
    "exchange_verification_code": {"exchange_verification_code": 1},
    "p2p_advert_update": {"id": "1234"},
    "partner_account_creation": {"calling_country_code": "971"},
    "unsubscribe_email": {"binary_user_id": 90000216},
}

#: Of the calls that only the Options API has no examples are published.
ONLY_OPTIONS: dict[str, Request] = {
    "auto_get": {"run_id": "a1"},
    "auto_list": {},
    "auto_list_strategies": {},
    "auto_pause": {"run_id": "a1"},
    "auto_resume": {"run_id": "a1"},
    "auto_start": {
        "strategy_id": "martingale",
        "strategy_parameters": {},
        "contract_template": {
            "amount": 1,
            "basis": "stake",
            "contract_type": "CALL",
            "currency": "USD",
            "duration": 5,
            "duration_unit": "t",
            "underlying_symbol": "R_100",
        },
    },
    "auto_stop": {"run_id": "a1"},
    "contracts_list": {},
}

RISE: Request = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "CALL",
    "currency": "USD",
    "symbol": "R_100",
}
FIVE_TICKS = RISE | {"duration": 5, "duration_unit": "t"}
HOUR = RISE | {"duration": 1, "duration_unit": "h"}
MULTIPLIER = RISE | {"contract_type": "MULTUP", "multiplier": 100}


@attrs.frozen
class Walker:
    """A client at a simulator, and what has to be done there before a call can succeed."""

    sim: Simulator
    client: Client
    generation: str
    until_the_end: AsyncExitStack

    async def request(self, name: str) -> Request:
        """Return a request for the call that can succeed, what it needs being done."""
        if name in ONLY_OPTIONS:
            return {name: 1, **ONLY_OPTIONS[name]}
        path = deriv_schemas.ROOT / "v3" / name / "example.json"
        request = json.loads(path.read_text(encoding="utf-8")) | CORRECTED.get(name, {})
        request.pop("subscribe", None)
        if name in PREPARED:
            request |= await PREPARED[name](self)
        if self.generation == "options":
            taken = {member.rstrip("!") for member in PUBLISHED["options"][name]["takes"]}
            request = {k: v for k, v in self.worded(request).items() if k in taken}
        return request

    def worded(self, request: Request) -> Request:
        """Return *request* with the symbol under the name it has in this generation."""
        if self.generation == "v3" or "symbol" not in request:
            return request
        return {"underlying_symbol" if k == "symbol" else k: v for k, v in request.items()}

    def purchase(self, terms: Request) -> Request:
        return {"buy": "1", "price": 100, "parameters": self.worded(terms)}

    async def buy(self, terms: Request) -> int:
        reply = await self.client.call(self.purchase(terms))
        number: int = reply["buy"]["contract_id"]
        return number

    async def offer(self) -> Request:
        terms = {"proposal": 1, **self.worded(FIVE_TICKS)}
        return {"buy": (await self.client.call(terms))["proposal"]["id"]}

    async def purchase_at_once(self) -> Request:
        return self.purchase(HOUR)

    async def stream(self) -> Request:
        """Follow some ticks until the walk is over."""
        messages = await self.until_the_end.enter_async_context(
            self.client.subscribe({"ticks": "R_50"})
        )
        return {"forget": (await anext(messages))["subscription"]["id"]}

    async def streams(self) -> Request:
        await self.stream()
        return {}

    async def sale(self) -> Request:
        bought = await self.buy(HOUR)
        await trio.sleep(5)  # it can be sold from its entry tick on
        return {"sell": bought, "price": 0}

    async def second_thoughts(self) -> Request:
        return {"cancel": await self.buy(MULTIPLIER | {"cancellation": "60m"})}

    async def open_multiplier(self) -> Request:
        return {"contract_id": await self.buy(MULTIPLIER)}

    async def updated_multiplier(self) -> Request:
        chosen = await self.open_multiplier()
        update = {"contract_update": 1, "limit_order": {"take_profit": 1}}
        await self.client.call(update | chosen)
        return chosen

    async def open_rise(self) -> Request:
        return {"contract_id": await self.buy(HOUR)}

    async def history(self) -> Request:
        """Have one contract open and one ended."""
        await self.buy(HOUR)
        await self.buy(FIVE_TICKS)
        await trio.sleep(30)
        return {"offset": 0}

    async def position(self) -> Request:
        await self.buy(HOUR)
        return {}

    async def loss(self) -> Request:
        self.sim.deposit(next(iter(self.sim.accounts)), Decimal(-25))
        return {}

    async def token(self) -> Request:
        return {"authorize": DEMO_TOKEN}


PREPARED: dict[str, Callable[[Walker], Awaitable[Request]]] = {
    "authorize": Walker.token,
    "buy": Walker.offer,
    "cancel": Walker.second_thoughts,
    "contract_update": Walker.open_multiplier,
    "contract_update_history": Walker.updated_multiplier,
    "forget": Walker.stream,
    "forget_all": Walker.streams,
    "portfolio": Walker.position,
    "profit_table": Walker.history,
    "proposal_open_contract": Walker.open_rise,
    "sell": Walker.sale,
    "statement": Walker.history,
    "topup_virtual": Walker.loss,
}

#: What is in the reply when there is something to show.
SHOWN: dict[str, Callable[[Any], Any]] = {
    "active_symbols": len,
    "cancel": lambda cancelled: cancelled["sold_for"] == 10,
    "contract_update": lambda updated: updated["take_profit"]["order_amount"] == 1,
    "contract_update_history": len,
    "forget": bool,
    "forget_all": len,
    "portfolio": lambda found: len(found["contracts"]) == 1,
    "profit_table": lambda found: len(found["transactions"]) == 1,
    "proposal_open_contract": lambda found: found["status"] == "open",
    "statement": lambda found: len(found["transactions"]) == 3,  # two purchases and an end
    "topup_virtual": lambda filled: filled["amount"] == 25,
}


@asynccontextmanager
async def walking(generation: str, name: str) -> AsyncIterator[Walker]:
    """Open a client where the call can be made: with an account unless it needs none."""
    found = entry(name, generation)
    assert found is not None
    async with open_simulator(port=None, start=START) as sim:
        endpoint, token = sim.endpoint, None
        if generation == "v3":
            token = None if name == "authorize" else DEMO_TOKEN
        else:
            endpoint = sim.options_account() if found.scopes else sim.options_public
        async with (
            derivtrio.open_client(endpoint=endpoint, token=token) as client,
            AsyncExitStack() as stack,
        ):
            yield Walker(sim, client, generation, stack)


async def call_with_api(client: Client, name: str, request: Request) -> Request:
    fields = dict(request)
    own = fields.pop(name)
    method = getattr(client.api, name)
    reply: Request = await (method(**fields) if own == 1 else method(own, **fields))
    return reply


async def call_with_mapping(client: Client, _: str, request: Request) -> Request:
    return await client.call(request)


def check(message: Request, request: Request, generation: str, types: tuple[str, ...]) -> None:
    """Hold *message* against its published schema, and against the *request* it answers."""
    deriv_schemas.check_message(message, generation)
    assert "error" not in message
    assert message["msg_type"] in types
    echo = {k: v for k, v in message["echo_req"].items() if k != "req_id"}
    if "authorize" not in request:  # of which the token is not repeated
        assert echo == request


def test_the_walk_leads_past_every_call() -> None:
    names = {g: {name for generation, name in CALLS if generation == g} for g in PUBLISHED}
    assert (len(names["v3"]), len(names["options"])) == (137, 30)
    assert names["v3"] == set(deriv_schemas.calls("v3"))
    assert names["options"] == set(deriv_schemas.calls("options"))
    assert all(SIMULATED[generation] <= names[generation] for generation in PUBLISHED)
    assert set(CALLS) == {*REPLIES, *STREAMS}
    assert set(CORRECTED) == WRONG_EXAMPLES


@pytest.mark.parametrize("way", [call_with_mapping, call_with_api])
@pytest.mark.parametrize(("generation", "name"), REPLIES)
async def test_every_call_is_answered_as_published_or_said_not_to_be_simulated(
    autojump_clock: object, generation: str, name: str, way: Callable[..., Awaitable[Request]]
) -> None:
    async with walking(generation, name) as walker:
        request = await walker.request(name)
        deriv_schemas.check_request(request, generation)
        if name not in SIMULATED[generation]:
            with pytest.raises(ApiError) as caught:
                await way(walker.client, name, request)
            assert caught.value.code == "NotSimulated"
            return
        reply = await way(walker.client, name, request)
        known = entry(name, generation)
        assert known is not None
        check(reply, request, generation, known.answers)
        assert SHOWN.get(name, lambda _: True)(reply[reply["msg_type"]])


@pytest.mark.parametrize(("generation", "name"), STREAMS)
async def test_every_stream_begins_and_goes_on_as_published_or_is_said_not_to_be_simulated(
    autojump_clock: object, generation: str, name: str
) -> None:
    known = entry(name, generation)
    assert known is not None
    async with walking(generation, name) as walker:
        prepared = name != "buy"  # whose published example is of a proposal
        request = await (walker.request(name) if prepared else walker.purchase_at_once())
        request["subscribe"] = 1
        deriv_schemas.check_request(request, generation)
        if name not in SIMULATED[generation]:
            with pytest.raises(ApiError) as caught:
                async with walker.client.subscribe(request) as messages:
                    await anext(messages)
            assert caught.value.code == "NotSimulated"
            return
        async with walker.client.subscribe(request) as messages:
            check(await anext(messages), request, generation, known.answers)
            if name in ("balance", "transaction"):
                await walker.buy(FIVE_TICKS)
            if name not in SILENT:
                later = await anext(messages)
                check(later, request, generation, known.streams)
                assert later[later["msg_type"]]
