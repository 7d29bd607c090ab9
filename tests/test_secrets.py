"""G13: secrets stay secret, wherever somebody might look."""

import json
import logging
import pickle
import re
import traceback
from collections.abc import Iterator
from typing import Any

import deriv_schemas
import pytest
import trio
from scripted import Peer, Request, Server, open_server, polite

import derivtrio
from derivtrio import ApiError, Backoff, InvalidRequest, OutcomeUnknown, Settings
from derivtrio.api.catalog import PUBLISHED
from derivtrio.api.validation import check_request
from derivtrio.redaction import HIDDEN, masked, masked_text
from derivtrio.simulator import Account, demo_account, open_simulator

SECRET = "s3cr3t-t0ken"
SETTINGS = Settings(backoff=Backoff(first=1, cap=1), max_attempts=2)

SECRET_NAMES = re.compile(
    "pass(word|code)|token|secret|totp|otp$|(verification|login)_code", re.IGNORECASE
)

#: What is called like a secret and is none; and what the schemas call sensitive, though market
#: data is called the same, where it is not within something that is hidden.
SHOWN = {"new_token", "name", "description", "payment_method", "value"}

Place = tuple[str, ...]


def check(caplog: pytest.LogCaptureFixture, *shown: object) -> None:
    for record in caplog.records:
        assert SECRET not in record.getMessage()
    for thing in shown:
        assert SECRET not in str(thing)
        assert SECRET not in repr(thing)
        if isinstance(thing, BaseException):
            assert SECRET not in "".join(traceback.format_exception(thing))


async def test_g13_the_token_is_shown_nowhere(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []

    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, authorize={"loginid": "CR1"})  # echoes the token, too

    async with (
        open_server(handle) as server,
        derivtrio.open_client(
            endpoint=server, token=SECRET, settings=Settings(wait_ready=False)
        ) as client,
        client.events(traffic=True) as events,
    ):
        await client.wait_ready()
        with pytest.raises(derivtrio.InvalidRequest) as caught:
            await client.send({"authorize": SECRET, "req_id": 2**31})
        shown.append(caught.value)
        await client.call({"authorize": SECRET})
        shown += [client, client.status]
        await client.aclose()
        shown += [event async for event in events]
        shown += [client.subscribe({"ticks": "R_100"})]
    assert [r["authorize"] for _, r in server.asked("authorize")] == [SECRET] * 2
    kinds = {type(event).__name__ for event in shown}
    assert {"MessageSent", "MessageReceived", "Authorized"} <= kinds
    check(caplog, *shown)


async def test_g13_a_refused_token_is_not_in_the_error(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_simulator(port=None, accounts=[demo_account()]) as sim:
        with pytest.raises(derivtrio.InvalidToken) as caught:
            async with derivtrio.open_client(endpoint=sim.endpoint, token=SECRET):
                pytest.fail("it must not open")
        check(caplog, caught.value, caught.value.request, sim, sim.history)


async def test_g13_a_one_time_url_is_shown_nowhere(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    class OneTime(Server):
        async def url(self) -> str:
            return f"ws://scripted.invalid/ws/demo?otp={SECRET}"

    async with trio.open_nursery() as nursery:
        server = OneTime(polite, nursery)
        async with derivtrio.open_client(endpoint=server, settings=SETTINGS) as client:
            shown: list[object] = [client, client.status]
        server.refuses = True
        with pytest.raises(derivtrio.ConnectionFailed) as caught:
            async with derivtrio.open_client(endpoint=server, settings=SETTINGS):
                pytest.fail("it must not open")
        nursery.cancel_scope.cancel()
    check(caplog, *shown, caught.value, *caught.value.attempts)


@pytest.mark.parametrize("url", [f"http://x/?otp={SECRET}", f"ws://x:y/?otp={SECRET}"])
async def test_g13_a_malformed_one_time_url_is_not_shown_either(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    class OneTime(Server):
        async def url(self) -> str:
            return url

    async with trio.open_nursery() as nursery:
        with pytest.raises(derivtrio.InvalidURL) as caught:
            async with derivtrio.open_client(endpoint=OneTime(polite, nursery)):
                pytest.fail("it must not open")
    check(caplog, caught.value)


@pytest.mark.parametrize("token", ["", "  ", 5, b"bytes"])
async def test_a_token_that_is_none_is_refused_at_once(token: Any) -> None:
    with pytest.raises(ValueError, match="token"):
        async with derivtrio.open_client(token=token):
            pytest.fail("it must not open")


def test_the_simulators_accounts_hide_their_tokens() -> None:
    assert "demo-token" not in repr(demo_account())
    assert isinstance(demo_account(), Account)


def members(schema: Any, root: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every member that *schema* has, at any depth, with the path to it."""
    if "$ref" in schema:
        target = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        yield from members(target, root, path)
    for name, member in schema.get("properties", {}).items():
        yield (*path, name), member
        yield from members(member, root, (*path, name))
    choices = [c for word in ("oneOf", "anyOf", "allOf") for c in schema.get(word, ())]
    items, others = schema.get("items"), schema.get("additionalProperties")
    inside = [("*", items), ("*", others)] + [(None, choice) for choice in choices]
    inside += [("*", member) for member in schema.get("patternProperties", {}).values()]
    for name, member in inside:
        if isinstance(member, dict):
            yield from members(member, root, (*path, name) if name else path)


def types(schema: dict[str, Any]) -> set[str]:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    return {kinds} if isinstance(kinds, str) else set(kinds)


def is_secret(name: str, schema: dict[str, Any]) -> bool:
    if name in SHOWN or schema.get("enum") or not types(schema) & {"string", "object", "array"}:
        return False
    if {"array"} == types(schema) and schema.get("items", {}).get("enum"):
        return False
    named = SECRET_NAMES.search(name) and "string" in types(schema)
    return bool(named or schema.get("sensitive"))


def secret_places(pattern: str) -> list[Place]:
    """Return where secrets are in the schemas of requests, or of replies, of both generations."""
    found = set()
    for path in sorted(deriv_schemas.ROOT.glob(pattern)):
        schema = json.loads(path.read_text(encoding="utf-8"))
        found |= {p for p, member in members(schema, schema) if is_secret(p[-1], member)}
    return sorted(found)


def built(place: Place, value: Any) -> Any:
    """Return what has *value* in *place*: objects, and lists where the place says `*`."""
    for name in reversed(place):
        value = [value] if name == "*" else {name: value}
    return value


@pytest.mark.skipif(not deriv_schemas.available(), reason="Deriv's schemas are not at hand")
@pytest.mark.parametrize(
    ("pattern", "least"),
    [
        ("v3/*/send.json", 25),
        ("v3/*/receive.json", 25),
        ("options/*_request.schema.json", 2),
        ("options/*_response.schema.json", 0),
    ],
)
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"x": [SECRET]}, [{"x": SECRET}]], ids=str)
def test_g13_what_the_schemas_have_of_secrets_is_shown_nowhere(
    pattern: str, least: int, value: Any
) -> None:
    places = secret_places(pattern)
    assert len(places) >= least
    for place in places:
        if place[-1] == "authorize" and isinstance(value, dict):
            continue  # an object so named is the reply
        message = {"first": [1, "]"], **built(place, value), "last": '"'}
        text = json.dumps(message)
        twice = json.dumps({"data": json.dumps({"data": text})})  # JSON in JSON in JSON
        error = ApiError("Bad", "no", None, message)
        lost = OutcomeUnknown("lost", message, 1, 1.0)
        shown = [error, repr(error), error.request, lost, lost.request]
        shown += [masked_text(text), masked_text(twice), masked({"passthrough": {"data": twice}})]
        assert SECRET not in " ".join(map(str, shown)), place
        assert json.loads(masked_text(text))["last"] == '"'
        json.loads(masked_text(twice))


def secret_fields(shape: Any, path: Place = ()) -> Iterator[Place]:
    """Yield where *shape*, in the notation of `published`, has secrets."""
    if isinstance(shape, str) and shape.startswith("secret"):
        yield path
    if isinstance(shape, dict):
        for name, member in shape.items():
            yield from secret_fields(member, (*path, {"[]": "*"}.get(name, name.rstrip("!"))))
    for choice in shape if isinstance(shape, list) else ():
        yield from secret_fields(choice, path)


@pytest.mark.parametrize("generation", ["v3", "options"])
def test_g13_no_secret_is_in_the_text_of_a_refusal(generation: str) -> None:
    wrong = (SECRET + " \n", [SECRET], {"x": SECRET}, SECRET.encode(), [[SECRET]])
    for name, call in PUBLISHED[generation].items():
        for place in secret_fields(call["takes"]):
            for depth in range(1, len(place) + 1):
                for value in wrong:
                    request = {name: 1, **built(place[:depth], value)}
                    try:
                        check_request(name, request, generation)
                    except InvalidRequest as error:
                        assert SECRET not in f"{error} {error!r} {error.details}", request  # noqa: PT017


async def test_g13_secrets_in_nested_members_are_in_no_event_and_no_error(
    autojump_clock: Any,
) -> None:
    request = {"ping": 1, "passthrough": {"token": SECRET, "more": [{"oauth_token": SECRET}]}}
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.events(traffic=True) as events,
    ):
        reply = await client.call(request)
        assert reply["passthrough"] == request["passthrough"]  # what the program gets is whole
        await client.aclose()
        text = " ".join([str(event) async for event in events])
    assert text.count(HIDDEN) >= 2
    assert SECRET not in text


def test_what_is_no_secret_is_shown_as_it_is() -> None:
    text = '{ "authorize" : {"loginid":"CR1", "balance":1.10},"copy_start":1, "tokens": null}'
    assert masked_text(text) == text
    assert masked({"api_token": 1, "totp": None, "copy_stop": 1, 5: (1, 2)}) == {  # type: ignore[dict-item]
        "api_token": 1,
        "totp": None,
        "copy_stop": 1,
        5: [1, 2],
    }
    text = '{"api_token":{"tokens":[{"scopes":["read"],"token":"a"},{"token":"b"}],"n":[1]}}'
    assert masked_text(text) == '{"api_token":{"tokens":"<not shown>","n":[1]}}'


def test_g13_of_what_is_no_json_nothing_is_shown_from_a_secret_on() -> None:
    for value in (f'"{SECRET}', f"[[{SECRET}", "[" * 100_000 + f'"{SECRET}"', SECRET):
        text = masked_text('{"n":1,"token":' + value)
        assert text.startswith('{"n":1,"token":"<not shown>')
        assert SECRET not in text


def test_a_request_that_is_too_deep_is_hidden() -> None:
    deep: dict[str, Any] = {"ping": 1}
    deep["passthrough"] = deep
    assert masked(deep) == {"ping": HIDDEN, "passthrough": HIDDEN}


async def test_g13_an_error_may_repeat_the_token_anywhere_and_at_any_time(
    autojump_clock: Any,
) -> None:
    token = "s3cr3tT0kenValue"

    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request and "x" not in request["authorize"]:
            await peer.reply(request, authorize={"loginid": "CR1"})
        else:
            said = {"code": token, "message": f"no {token}", "details": {token: [{token: token}]}}
            await peer.reply(request, error=said)

    errors = []
    async with (
        open_server(handle) as server,
        derivtrio.open_client(
            endpoint=server, token=token, settings=Settings(wait_ready=False)
        ) as client,
        client.events(traffic=True) as events,
    ):
        for request in ({"time": 1}, {"ticks": "R_100"}, {"authorize": f"x{token}"}):
            with pytest.raises(derivtrio.ApiError) as caught:
                await client.call(request)
            errors.append(caught.value)
        with pytest.raises(derivtrio.ApiError) as caught:
            await client.ticks("R_100").__aenter__()
        errors.append(caught.value)
        with pytest.raises(derivtrio.InvalidRequest) as caught:
            await client.call({"authorize": f"{token}\ud800"})
        errors.append(caught.value)
        await client.send(b'{"ping":1,"token":"%s"}' % token.encode())
        with pytest.raises(derivtrio.ApiError):
            await client.call({"cashier": "deposit", "verification_code": f"code-of-{token[:9]}"})
        await server.peers[0].websocket.send_message(b'\xff{"authorize":"%s"}' % token.encode())
        await trio.sleep(1)
        await client.aclose()
        seen = [event async for event in events]
    assert {type(each.data) for each in seen if hasattr(each, "data")} == {str, bytes}
    assert token[:9] not in f"{seen}"
    for error in errors:
        for each in filter(None, (error, error.__cause__)):
            assert token not in f"{each} {each!r} {each.__dict__} {each.args}"
            assert token.encode() not in pickle.dumps(each)
