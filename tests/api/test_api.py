"""`client.api`: every call by its name."""

import ast
import copy
from pathlib import Path
from typing import Any

import pytest
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import InvalidRequest
from derivtrio.api.catalog import NAMES, PUBLISHED


async def echo(peer: Peer, request: Request) -> None:
    await peer.reply(request, answer=1)


async def test_a_call_is_the_request_that_it_is_the_name_of(autojump_clock: Any) -> None:
    async with open_server(echo) as server, derivtrio.open_client(endpoint=server) as client:
        api = client.api
        assert (await api.ping())["echo_req"]["ping"] == 1
        await api.ticks_history("R_100", end="latest", count=5, passthrough={"n": 1})
        await api.ticks_history(end="latest", ticks_history="R_100")
        await api.app_register(name="mine", scopes=["read"])  # a field called `name` is a field
        await api.ping(ping=1)
    sent = [request for _, request in server.received]
    for request in sent:
        del request["req_id"]
    assert sent == [
        {"ping": 1},
        {"ticks_history": "R_100", "end": "latest", "count": 5, "passthrough": {"n": 1}},
        {"ticks_history": "R_100", "end": "latest"},
        {"app_register": 1, "name": "mine", "scopes": ["read"]},
        {"ping": 1},
    ]


async def test_what_cannot_be_meant_is_refused_and_not_sent(autojump_clock: Any) -> None:
    async with open_server(echo) as server, derivtrio.open_client(endpoint=server) as client:
        api: Any = client.api
        with pytest.raises(InvalidRequest, match="did you mean 'ticks_history'"):
            await api.tick_history("R_100", end="latest")
        with pytest.raises(InvalidRequest, match="ticks_history is missing; it is a text such as"):
            await api.ticks_history(end="latest")
        with pytest.raises(InvalidRequest, match="did you mean 'granularity'"):
            await api.ticks_history("R_100", end="latest", granularty=60)
        with pytest.raises(InvalidRequest, match="one argument by position"):
            await api.ticks_history("R_100", "latest")
        with pytest.raises(InvalidRequest, match="one argument by position"):
            await api.ticks_history("R_100", ticks_history="R_50", end="latest")
        with pytest.raises(InvalidRequest, match=r"use client\.subscribe"):
            await api.ticks("R_100", subscribe=1)
        with pytest.raises(InvalidRequest, match=r"use client\.subscribe"):
            await api.transaction()
    assert server.received == []


async def test_a_newer_call_can_be_made_unchecked(autojump_clock: Any) -> None:
    settings = derivtrio.Settings(check_requests=False)
    async with (
        open_server(echo) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
    ):
        api: Any = client.api
        await api.invented()
        await api.invented_too("R_100", depth=1)
    first, second = (request for _, request in server.received)
    assert first["invented"] == 1
    assert (second["invented_too"], second["depth"]) == ("R_100", 1)


async def test_the_calls_of_the_endpoints_generation_are_listed(autojump_clock: Any) -> None:
    async with open_server(echo) as server:
        server.generation = "options"
        async with derivtrio.open_client(endpoint=server) as client:
            assert dir(client.api) == sorted(PUBLISHED["options"])
            assert repr(client.api) == "<derivtrio.Api of options>"
            assert not hasattr(client.api, "_private")
            assert copy.copy(client.api) == client.api


STUB = Path(derivtrio.__file__).parent.joinpath("api", "__init__.pyi").read_text(encoding="utf-8")


def methods() -> dict[str, list[ast.AsyncFunctionDef]]:
    """Return the methods of the stub, each with its overloads."""
    classes = {node.name: node for node in ast.parse(STUB).body if isinstance(node, ast.ClassDef)}
    found: dict[str, list[ast.AsyncFunctionDef]] = {}
    for node in classes["Api"].body:
        if isinstance(node, ast.AsyncFunctionDef):
            found.setdefault(node.name, []).append(node)
    return found


def fields(method: ast.AsyncFunctionDef) -> dict[str, bool]:
    """Return what *method* takes, and whether it must be given."""
    given = method.args.args[1:]
    named = zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True)
    return {a.arg: True for a in given} | {a.arg: default is None for a, default in named}


def test_the_stub_has_every_call_and_only_those() -> None:
    assert methods().keys() == NAMES
    for name, overloads in methods().items():
        taken = {
            key.rstrip("!")
            for calls in PUBLISHED.values()
            for key in calls.get(name, {"takes": {}})["takes"]
        }
        found = {field for method in overloads for field in fields(method)}
        assert found - {"passthrough"} | {name} == taken - {"subscribe", "*"} | {name}


@pytest.mark.parametrize("generation", ["v3", "options"])
@pytest.mark.long
def test_what_a_generation_requires_the_stub_requires_too(generation: str) -> None:
    for name, call in PUBLISHED[generation].items():
        required = {key[:-1] for key in call["takes"] if key.endswith("!")} - {name, "subscribe"}
        found = [{f for f, must in fields(m).items() if must} - {name} for m in methods()[name]]
        assert required in found, name


def test_the_stub_says_which_objects_of_a_request_each_generation_takes() -> None:
    assert "BuyParameters: TypeAlias = BuyParametersV3 | BuyParametersOptions\n" in STUB
    assert "parameters: BuyParameters = ...,\n" in STUB
