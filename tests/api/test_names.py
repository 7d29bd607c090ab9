"""The names of the calls, held against the official schemas."""

import json

import deriv_schemas
import pytest

from derivtrio.api import catalog

needs_schemas = pytest.mark.skipif(
    not deriv_schemas.available(), reason="the official schemas are not at hand"
)


@needs_schemas
def test_the_catalogue_names_every_call_of_both_generations() -> None:
    options = {
        path.name.removesuffix("_request.schema.json")
        for path in (deriv_schemas.ROOT / "options").glob("*_request.schema.json")
        if "req_id" in json.loads(path.read_text()).get("properties", {})
    }
    assert len(options) == 30
    assert options | {*deriv_schemas.calls()} == catalog.NAMES
    assert not catalog.READS & catalog.WRITES


@needs_schemas
def test_the_streams_are_those_whose_schema_has_subscribe() -> None:
    streams = {
        call
        for call in deriv_schemas.calls()
        if "subscribe" in deriv_schemas.load(call, "send")["properties"]
    }
    assert streams == catalog.STREAMS & {*deriv_schemas.calls()}


@needs_schemas
@pytest.mark.parametrize("call", deriv_schemas.calls() if deriv_schemas.available() else [])
def test_every_published_example_is_recognized(call: str) -> None:
    path = deriv_schemas.ROOT / "v3" / call / "example.json"
    example = json.loads(path.read_text())
    assert catalog.name_of(example) == call
    assert catalog.name_of(dict(reversed(example.items()))) == call
