"""A client whose server is a small bank, and trades in doubt there."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from bank import (
    PARAMETERS,
    Bank,
    Fault,
    answering,
    answering_after,
    dropped,
    late,
    lost_after,
    lost_before,
)
from scripted import Server, open_server

import derivtrio
from derivtrio import Backoff, OutcomeUnknown, Settings

SETTINGS = Settings(heartbeat_interval=3600, backoff=Backoff(first=1, cap=1), response_timeout=30)


@attrs.frozen
class World:
    bank: Bank
    server: Server
    client: derivtrio.Client


@asynccontextmanager
async def open_world(
    *faults: Fault, strings: bool = False, generation: Any = "v3"
) -> AsyncGenerator[World]:
    bank = Bank(list(faults), strings=strings)
    async with open_server(bank.handle) as server:
        server.generation = generation
        async with derivtrio.open_client(endpoint=server, settings=SETTINGS) as client:
            yield World(bank, server, client)


async def in_doubt(world: World, **changes: Any) -> OutcomeUnknown:
    with pytest.raises(OutcomeUnknown) as caught:
        await world.client.buy({**PARAMETERS, **changes}, 10)
    return caught.value


async def doubtful_sale(world: World, name: str) -> tuple[derivtrio.Purchase, OutcomeUnknown]:
    fault = world.bank.faults.pop()
    purchase = await world.client.buy(PARAMETERS, 10)
    world.bank.faults.append(fault)
    with pytest.raises(OutcomeUnknown) as caught:
        await getattr(world.client, name)(purchase)
    return purchase, caught.value


EXECUTED: list[Fault] = [
    lost_after,
    late(1),
    late(14.5),
    answering("Timeout", executing=True),
    answering("WrongResponse", executing=True),
    answering("ConnectionError", executing=True),
    answering_after(31),
    answering_after(3600),
]


NOT_EXECUTED: list[Fault] = [
    lost_before,
    dropped,
    answering("Timeout", executing=False),
    answering("WrongResponse", executing=False),
]
