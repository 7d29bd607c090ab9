"""Trades in tests: the contracts that several tests buy, and the calls about them."""

from typing import Any

from asking import ask, error
from wire_peer import START, Peer

from derivtrio.simulator.sessions.session import ServerSession

DEMO = "VRTC1000001"
RISE: dict[str, Any] = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "CALL",
    "currency": "USD",
    "duration": 5,
    "duration_unit": "t",
    "symbol": "R_100",
}
LASTING = RISE | {"duration": 60, "duration_unit": "s"}
MULTIPLIER: dict[str, Any] = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "MULTUP",
    "currency": "USD",
    "multiplier": 100,
    "symbol": "R_100",
}
ACCUMULATOR: dict[str, Any] = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "ACCU",
    "currency": "USD",
    "growth_rate": 0.03,
    "symbol": "R_100",
}


def proposed(session: ServerSession, epoch: int = START, **changes: Any) -> dict[str, Any]:
    proposal: dict[str, Any] = ask(session, {"proposal": 1} | RISE | changes, epoch)["proposal"]
    return proposal


def bought(session: ServerSession, epoch: int = START, **changes: Any) -> dict[str, Any]:
    request = {"buy": "1", "price": 100, "parameters": RISE | changes}
    receipt: dict[str, Any] = ask(session, request, epoch)["buy"]
    return receipt


def refusal(session: ServerSession, epoch: int = START, **changes: Any) -> tuple[str, str]:
    request = {"buy": "1", "price": 100, "parameters": RISE | changes}
    refused = error(session, request, epoch)
    return refused["code"], refused["message"]


def balance_of(session: ServerSession, epoch: int = START) -> float:
    balance: float = ask(session, {"balance": 1}, epoch)["balance"]["balance"]
    return balance


def statement_of(session: ServerSession, epoch: int = START, **fields: Any) -> list[dict[str, Any]]:
    payload = ask(session, {"statement": 1} | fields, epoch)["statement"]
    assert payload["count"] == len(payload["transactions"])
    rows: list[dict[str, Any]] = payload["transactions"]
    return rows


def position_of(session: ServerSession, contract_id: int, epoch: int) -> dict[str, Any]:
    request = {"proposal_open_contract": 1, "contract_id": contract_id}
    position: dict[str, Any] = ask(session, request, epoch)["proposal_open_contract"]
    return position


async def log_in(peer: Peer) -> None:
    await peer.ask({"authorize": "demo-token"})


async def receive_of(peer: Peer, msg_type: str) -> dict[str, Any]:
    while (message := await peer.receive())["msg_type"] != msg_type:
        pass
    return message


def buy(session: ServerSession, parameters: dict[str, Any], epoch: int = START) -> dict[str, Any]:
    request = {"buy": "1", "price": 1000, "parameters": parameters}
    receipt: dict[str, Any] = ask(session, request, epoch)["buy"]
    return receipt
