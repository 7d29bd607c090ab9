"""Requests to a session without a server, and their replies."""

from typing import Any

import deriv_schemas
from wire_peer import START

from derivtrio.api.codec import decode, encode
from derivtrio.simulator.calls.dispatch import answer
from derivtrio.simulator.sessions.session import ServerSession


def answers(session: ServerSession, request: dict[str, Any], epoch: int) -> list[dict[str, Any]]:
    return [message for message in answer(session, request, epoch) if message is not None]


def ask_all(
    session: ServerSession, request: dict[str, Any], epoch: int = START
) -> list[dict[str, Any]]:
    """Return the replies as they arrive, all held against the official schemas."""
    messages = [decode(encode(message)) for message in answers(session, request, epoch)]
    if deriv_schemas.available():
        for message in messages:
            deriv_schemas.check_message(message)
    return messages


def ask(session: ServerSession, request: dict[str, Any], epoch: int = START) -> dict[str, Any]:
    (message,) = ask_all(session, request, epoch)
    return message


def error(session: ServerSession, request: dict[str, Any], epoch: int = START) -> dict[str, Any]:
    refused: dict[str, Any] = ask(session, request, epoch)["error"]
    return refused
