"""What a user of python-deriv-api does, from a ping to the end of a contract.

Run as `python driver.py ws://HOST:PORT`, in an environment without derivtrio. It prints what it saw
as JSON: the reply to each step, the messages of each stream, all messages in order, and the
library's own error messages.
"""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from deriv_api import DerivAPI, ResponseError

TOKEN = "demo-token"
PATIENCE = 30

RISE = {
    "amount": 10,
    "basis": "stake",
    "contract_type": "CALL",
    "currency": "USD",
    "duration": 5,
    "duration_unit": "t",
    "symbol": "R_100",
}
MULTIPLIER = {
    "amount": 20,
    "basis": "stake",
    "contract_type": "MULTUP",
    "currency": "USD",
    "multiplier": 100,
    "symbol": "R_100",
}


class Visit:
    """One connection, and everything that is seen on it."""

    def __init__(self, api: DerivAPI) -> None:
        self.api = api
        self.replies: dict[str, Any] = {}
        self.streams: dict[str, list[Any]] = defaultdict(list)
        self.failures: list[str] = []
        self.messages: list[Any] = []
        self.complaints: list[str] = []
        self.news = asyncio.Event()
        api.events.subscribe(self.on_event)
        api.sanity_errors.subscribe(lambda error: self.complaints.append(repr(error)))

    def on_event(self, event: Any) -> None:
        if event["name"] == "message":
            self.messages.append(event["data"])

    async def ask(self, step: str, awaitable: Awaitable[Any]) -> Any:
        self.replies[step] = await asyncio.wait_for(awaitable, PATIENCE)
        return self.replies[step]

    async def refuse(self, step: str, awaitable: Awaitable[Any]) -> None:
        try:
            self.replies[step] = await asyncio.wait_for(awaitable, PATIENCE)
        except ResponseError as error:
            self.replies[step] = {"code": error.code, "message": error.message}

    async def follow(self, name: str, request: dict[str, Any]) -> None:
        def note(message: Any) -> None:
            self.streams[name].append(message)
            self.news.set()

        def fail(error: Exception) -> None:
            self.failures.append(f"{name}: {error!r}")
            self.news.set()

        (await self.api.subscribe(request)).subscribe(note, fail)
        await self.until(name, lambda seen: seen)

    async def until(self, name: str, condition: Callable[[list[Any]], Any]) -> None:
        async def wait() -> None:
            while not condition(self.streams[name]) and not self.failures:
                self.news.clear()
                await self.news.wait()

        await asyncio.wait_for(wait(), PATIENCE)

    def stream_id(self, name: str) -> Any:
        return self.streams[name][0]["subscription"]["id"]


def is_sold(seen: list[Any]) -> bool:
    return bool(seen[-1].get("proposal_open_contract", {}).get("is_sold"))


async def look_around(visit: Visit) -> None:
    api = visit.api
    await visit.ask("ping", api.ping({"ping": 1}))
    await visit.ask("time", api.time({"time": 1}))
    await visit.ask("active_symbols", api.active_symbols({"active_symbols": "brief"}))
    await visit.ask("ticks_history", api.ticks_history({"ticks_history": "R_100", "end": "latest"}))
    await visit.refuse("no symbol", api.ticks_history({"ticks_history": "NONE", "end": "latest"}))
    await visit.refuse("no login", api.balance({"balance": 1}))


async def watch_ticks(visit: Visit) -> None:
    await visit.follow("ticks", {"ticks": "1HZ100V"})
    await visit.until("ticks", lambda seen: len(seen) >= 5)
    await visit.ask("forget", visit.api.forget(visit.stream_id("ticks")))
    await visit.follow("candles", {"ticks_history": "R_100", "end": "latest", "style": "candles"})
    await visit.until("candles", lambda seen: len(seen) >= 3)
    await visit.ask("forget_all", visit.api.forget_all("candles"))


async def log_in(visit: Visit) -> None:
    await visit.ask("authorize", visit.api.authorize({"authorize": TOKEN}))
    await visit.follow("balance", {"balance": 1})
    await visit.follow("transactions", {"transaction": 1})


async def buy_what_was_proposed(visit: Visit) -> None:
    """Ask for a price, buy and follow, with three calls."""
    api = visit.api
    proposal = await visit.ask("proposal", api.proposal({"proposal": 1, **RISE}))
    offer = {"buy": proposal["proposal"]["id"], "price": 10}
    bought = await visit.ask("buy", api.buy(offer))
    contract_id = bought["buy"]["contract_id"]
    await visit.follow("contract", {"proposal_open_contract": 1, "contract_id": contract_id})
    await visit.until("contract", is_sold)
    await visit.refuse("bought again", api.buy(offer))


async def buy_what_moves(visit: Visit) -> None:
    """Follow a price; then buy and follow, with one call."""
    await visit.follow("prices", {"proposal": 1, **RISE})
    await visit.until("prices", lambda seen: len(seen) >= 2)
    await visit.ask("forget price", visit.api.forget(visit.stream_id("prices")))
    await visit.follow("purchase", {"buy": "1", "price": 10, "parameters": RISE})
    await visit.until("purchase", is_sold)


async def sell_early(visit: Visit) -> None:
    api = visit.api
    bought = await visit.ask("buy more", api.buy({"buy": 1, "price": 20, "parameters": MULTIPLIER}))
    await visit.ask("portfolio", api.portfolio({"portfolio": 1}))
    contract_id = bought["buy"]["contract_id"]
    sold = (await visit.ask("sell", api.sell({"sell": contract_id, "price": 0})))["sell"]
    number, balance = sold["transaction_id"], sold["balance_after"]
    await visit.until(
        "transactions", lambda seen: seen[-1]["transaction"].get("transaction_id") == number
    )
    await visit.until("balance", lambda seen: seen[-1]["balance"]["balance"] == balance)


async def read_the_books(visit: Visit) -> None:
    api = visit.api
    await visit.ask("portfolio at last", api.portfolio({"portfolio": 1}))
    await visit.ask("statement", api.statement({"statement": 1, "description": 1}))
    await visit.ask("profit_table", api.profit_table({"profit_table": 1}))
    await visit.ask("balance", api.send({"balance": 1}))
    await visit.ask("logout", api.logout({"logout": 1}))


async def main(endpoint: str) -> dict[str, Any]:
    visit = Visit(DerivAPI(endpoint=endpoint, app_id=1089))
    for stage in (
        look_around,
        watch_ticks,
        log_in,
        buy_what_was_proposed,
        buy_what_moves,
        sell_early,
        read_the_books,
    ):
        await stage(visit)
    complaints = list(visit.complaints)
    await visit.api.clear()
    return {
        "library": version("python-deriv-api"),
        "replies": visit.replies,
        "streams": visit.streams,
        "messages": visit.messages,
        "complaints": complaints + visit.failures,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(main(sys.argv[1])), sys.stdout)
