"""The catalogue, held against Deriv's schemas: as data, and as what is let through."""

import json
import re
from pathlib import Path
from typing import Any

import deriv_schemas
import pytest
from deriv_schemas import CALLS, WRONG_EXAMPLES
from jsonschema import Draft4Validator

import derivtrio
from derivtrio.api.catalog import (
    NAMES,
    PUBLISHED,
    READS,
    STREAMS,
    TRADES,
    WRITES,
    entry,
    generations_of,
    groups_of,
    is_safe,
)
from derivtrio.api.schema import check_of
from derivtrio.api.validation import check_request
from derivtrio.calls.call import api_call
from derivtrio.codegen import stubs
from derivtrio.codegen.__main__ import generated
from derivtrio.codegen.reading import read_schemas
from derivtrio.errors import InvalidRequest

PACKAGE = Path(derivtrio.__file__).parent

#: What a confused program may put into a field.
ANYTHING = (None, True, 0, 1, -1, 10**12, 1.5, "", "1", "x y", "latest", [], ["x"], {}, {"x": 1})

with_schemas = pytest.mark.skipif(
    not deriv_schemas.available(), reason="Deriv's schemas are not at hand"
)


def shapes(value: Any) -> list[Any]:
    """Return *value* and every shape inside it."""
    inside = value.values() if isinstance(value, dict) else value if type(value) is list else ()
    return [value, *(shape for item in inside for shape in shapes(item))]


def allows(name: str, request: dict[str, Any], generation: str = "v3") -> bool:
    try:
        check_request(name, request, generation)
    except InvalidRequest:
        return False
    return True


def test_of_every_call_it_is_known_whether_it_is_safe_to_repeat() -> None:
    called = {name for _, name in CALLS}
    assert called == NAMES, f"write into READS or WRITES, or take out: {called ^ NAMES}"
    both = READS & WRITES
    assert not both, f"in READS, and in WRITES, too: {both}"
    assert (len(PUBLISHED["v3"]), len(PUBLISHED["options"])) == (137, 30)


@with_schemas
@pytest.mark.parametrize("name", ["api/_published.py", "api/__init__.pyi"])
def test_the_generated_files_are_what_the_generator_makes(name: str) -> None:
    made = generated(read_schemas(deriv_schemas.ROOT))[name]
    assert made == (PACKAGE / name).read_text(encoding="utf-8")


@with_schemas
def test_no_type_is_changed_by_how_it_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = stubs._annotated  # noqa: SLF001
    seen = 0

    def compared(indent: str, name: str, kind: str, end: str = "") -> str:
        nonlocal seen
        text = laid_out(indent, name, kind, end)
        packed = re.sub(r"\s+", "", text).replace(",]", "]")
        assert packed == re.sub(r"\s+", "", f"{name}:{kind}{end}")
        seen += 1
        return text

    monkeypatch.setattr(stubs, "_annotated", compared)
    stubs.api_stub(read_schemas(deriv_schemas.ROOT))
    assert seen > 1000


@pytest.mark.parametrize(("generation", "name"), CALLS)
def test_every_call_takes_itself_and_has_an_entry(generation: str, name: str) -> None:
    known = entry(name, generation)
    assert known is not None
    assert f"{name}!" in known.takes
    assert known.answers
    assert bool(known.streams) == (name in STREAMS)
    assert all(scope in "read trade trading_information payments admin" for scope in known.scopes)
    for shape in shapes(known.takes):
        if isinstance(shape, str) and " ~ " in shape:
            re.compile(shape.partition(" ~ ")[2])


@pytest.mark.parametrize("generation", ["v3", "options"])
def test_g04_nothing_that_trades_is_ever_written_twice(generation: str) -> None:
    for name in TRADES | {"buy_contract_for_multiple_accounts", "sell_expired"}:
        assert not is_safe(name), f"{name} is in READS: after a lost reply it would be made again"
        assert (known := entry(name, generation)) is None or not known.safe


def test_what_is_known_of_some_calls() -> None:
    history = entry("ticks_history")
    assert history is not None
    assert (history.scopes, history.safe) == ((), True)
    assert (history.answers, history.streams) == (("history", "candles"), ("tick", "ohlc"))
    assert history.forget_types == ("ticks", "candles")
    buy = entry("buy", "options")
    assert buy is not None
    assert (buy.scopes, buy.groups) == (("trade",), ("trading",))
    assert (buy.answers, buy.streams) == (("buy",), ("proposal_open_contract",))
    balance = entry("balance")
    assert balance is not None
    assert balance.scopes == ("read", "trading_information")
    assert balance.answers == balance.streams == balance.forget_types == ("balance",)


def test_what_only_one_generation_has() -> None:
    assert generations_of("ticks") == ("v3", "options")
    assert generations_of("authorize") == ("v3",)
    assert generations_of("auto_start") == ("options",)
    assert generations_of("invented") == ()
    assert entry("authorize", "options") is None
    assert entry("ticks", "a third one") is None


def test_the_budgets_of_calls() -> None:
    assert groups_of("proposal") == ("outcome", "pricing")
    assert groups_of("portfolio") == ("outcome",)
    assert groups_of("time") == groups_of("invented") == ("general",)
    assert groups_of("ping") == groups_of("ping", "options") == ("ping",)
    assert groups_of("sell", "options") == ("trading",)
    assert groups_of("statement", "options") == ("account",)
    assert groups_of("profit_table", "options") == ("report",)


def test_what_forget_all_takes_is_what_it_takes() -> None:
    types, _ = PUBLISHED["v3"]["forget_all"]["takes"]["forget_all!"]
    named = {kind for name in PUBLISHED["v3"] for kind in getattr(entry(name), "forget_types", ())}
    assert named <= set(types)
    assert set(types) - named == {"cashier_payments", "trading_platform_asset_listing"}


@with_schemas
def test_the_published_examples_are_allowed_but_for_those_that_are_wrong() -> None:
    refused = set()
    for name in deriv_schemas.calls():
        path = deriv_schemas.ROOT / "v3" / name / "example.json"
        if not allows(name, json.loads(path.read_text(encoding="utf-8"))):
            refused.add(name)
    assert refused == WRONG_EXAMPLES


@pytest.mark.skipif(
    not (deriv_schemas.ROOT / "examples.jsonl").is_file(),
    reason="no examples.jsonl, which is not among the schemas that Deriv publishes",
)
def test_the_examples_of_both_generations_are_allowed() -> None:
    lines = (deriv_schemas.ROOT / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    sent = [e for e in map(json.loads, lines) if e["dir"] in ("send", "request")]
    generations = {"v3": "v3", "new": "options"}
    assert {example["gen"] for example in sent} == set(generations)
    for example in sent:
        check_request(example["call"], example["msg"], generations[example["gen"]])


@with_schemas
@pytest.mark.parametrize(("generation", "name"), CALLS)
def test_no_value_is_refused_that_the_schema_allows(generation: str, name: str) -> None:
    schema = deriv_schemas.portable(deriv_schemas.load_request(name, generation))
    takes = PUBLISHED[generation][name]["takes"]
    for field, allowed in schema["properties"].items():
        if field in ("req_id", "passthrough"):
            continue
        validator = Draft4Validator({**allowed, "definitions": schema.get("definitions", {})})
        check = check_of(takes.get(field, takes.get(f"{field}!")))
        for value in ANYTHING:
            if check(value) is not None:
                assert not validator.is_valid(value), (field, value)


@with_schemas
def test_what_the_schemas_do_not_allow_is_refused_but_for_lengths_of_arrays() -> None:
    passed = set()
    for name in deriv_schemas.calls():
        takes = PUBLISHED["v3"][name]["takes"]
        schema = deriv_schemas.portable(deriv_schemas.load(name, "send"))
        for field in schema["properties"].keys() - {"req_id", "passthrough"}:
            validator = Draft4Validator(
                {**schema["properties"][field], "definitions": schema.get("definitions", {})}
            )
            check = check_of(takes.get(field, takes.get(f"{field}!")))
            passed |= {
                (name, field, repr(value))
                for value in ANYTHING
                if check(value) is None and not validator.is_valid(value)
            }
    empty = ("[]", "{}")
    assert {case for case in passed if case[2] not in empty} == {
        ("mt5_new_account", "server", "None")  # its type has null, its values have not
    }


@pytest.mark.parametrize(
    ("request_", "safe"),
    [
        ({"balance": 1}, True),
        ({"subscribe": 1, "loginid": "CR1", "balance": 1}, True),
        ({"symbol": "R_100", "contract_type": "CALL", "proposal": 1}, True),
        ({"underlying_symbol": "R_100", "proposal": 1}, True),
        ({"balance": 1, "new_argument": 5}, True),
        ({"move_money": 1, "balance": 5}, False),
        ({"req_id": 3, "move_money": 1, "balance": 5}, False),
        ({"buy": "1", "price": 1}, False),
    ],
)
def test_g04_a_new_call_is_not_taken_for_the_known_one_that_its_argument_is_named_for(
    request_: dict[str, Any], *, safe: bool
) -> None:
    call = api_call(request_)
    assert call.safe == safe
