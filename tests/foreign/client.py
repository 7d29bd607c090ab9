"""Runs where only python-deriv-api is: trades a little, and prints what it saw as JSON."""

import asyncio
import json
import sys
from typing import Any

from deriv_api import DerivAPI

_RISE = {
    "contract_type": "CALL",
    "symbol": "1HZ100V",
    "currency": "USD",
    "basis": "stake",
    "amount": 1,
    "duration": 3,
    "duration_unit": "t",
}
_FALL = {**_RISE, "contract_type": "PUT"}


async def visit(url: str) -> dict[str, Any]:
    api = DerivAPI(endpoint=url, app_id=1089)
    seen: dict[str, Any] = {"ping": (await api.ping({"ping": 1}))["ping"]}
    account = (await api.authorize({"authorize": "demo-token"}))["authorize"]
    seen["loginid"] = account["loginid"]
    listed = await api.active_symbols({"active_symbols": "brief"})
    seen["symbols"] = [each["symbol"] for each in listed["active_symbols"]]
    ticks = await follow(api, {"ticks": "R_100"}, lambda messages: len(messages) == 3)
    seen["ticks"] = [message["tick"] for message in ticks]
    proposal = (await api.proposal({"proposal": 1, **_RISE}))["proposal"]
    bought = await api.buy({"buy": proposal["id"], "price": proposal["ask_price"]})
    contract = {"contract_id": bought["buy"]["contract_id"]}
    lives = await asyncio.gather(
        follow(api, {"proposal_open_contract": 1, **contract}, is_sold),
        follow(api, {"buy": "1", "price": 1, "parameters": _FALL}, is_sold),
    )
    seen["contracts"] = [life[-1]["proposal_open_contract"] for life in lives]
    seen["balance"] = (await api.balance({"balance": 1}))["balance"]["balance"]
    rows = (await api.statement({"statement": 1}))["statement"]["transactions"]
    seen["statement"] = [row["transaction_id"] for row in rows]
    seen["portfolio"] = (await api.portfolio({"portfolio": 1}))["portfolio"]["contracts"]
    await api.clear()
    return seen


async def follow(api: Any, request: dict[str, Any], enough: Any) -> list[dict[str, Any]]:
    """Subscribe; return the messages up to the one with which there are enough."""
    messages: list[dict[str, Any]] = []
    done = asyncio.Event()

    def take(message: dict[str, Any]) -> None:
        if not done.is_set():
            messages.append(message)
            if enough(messages):
                done.set()

    observable = await api.subscribe({**request, "subscribe": 1})
    subscription = observable.subscribe(take)
    await asyncio.wait_for(done.wait(), 30)
    subscription.dispose()  # which forgets the stream
    return messages


def is_sold(messages: list[dict[str, Any]]) -> bool:
    return bool(messages[-1].get("proposal_open_contract", {}).get("is_sold"))


sys.stdout.write(json.dumps(asyncio.run(visit(sys.argv[1]))) + "\n")
