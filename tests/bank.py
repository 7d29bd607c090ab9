"""An account at a scripted server: it trades, keeps its books, and breaks down when told to."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio
from scripted import Peer, Request

#: What is asked for in the tests, and what the account then has.
PARAMETERS: Request = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
}

Fault = Callable[[Peer, Request, Callable[[], Request]], Awaitable[None]]


async def well(peer: Peer, request: Request, execute: Callable[[], Request]) -> None:
    await peer.reply(request, **execute())


async def lost_before(peer: Peer, request: Request, execute: Callable[[], Request]) -> None:
    await peer.drop()


async def lost_after(peer: Peer, request: Request, execute: Callable[[], Request]) -> None:
    execute()
    await peer.drop()


async def dropped(peer: Peer, request: Request, execute: Callable[[], Request]) -> None:
    """Neither execute nor answer; the connection goes on."""


def late(seconds: float) -> Fault:
    """Execute after so long a time, on a connection that is gone by then."""

    async def fault(peer: Peer, request: Request, execute: Callable[[], Request]) -> None:
        with trio.CancelScope(shield=True):
            await peer.drop()
            await trio.sleep(seconds)
            execute()

    return fault


def answering(code: str, *, executing: bool) -> Fault:
    async def fault(peer: Peer, request: Request, execute: Callable[[], Request]) -> None:
        if executing:
            execute()
        await peer.refuse(request, code)

    return fault


def answering_after(seconds: float) -> Fault:
    """Execute at once, and answer so many seconds later."""

    async def fault(peer: Peer, request: Request, execute: Callable[[], Request]) -> None:
        answer = execute()
        await trio.sleep(seconds)
        await peer.reply(request, **answer)

    return fault


@attrs.define(eq=False)
class Bank:
    """The account's books, and the faults of the next requests that trade."""

    faults: list[Fault] = attrs.field(factory=list)
    strings: bool = False
    contracts: dict[int, Request] = attrs.field(factory=dict)
    statement: list[Request] = attrs.field(factory=list)
    refused: dict[str, str] = attrs.field(factory=dict)

    @property
    def now(self) -> int:
        return 1_700_000_000 + int(trio.current_time())

    async def handle(self, peer: Peer, request: Request) -> None:
        name = next(n for n in request if n in _ANSWERS or n in _TRADES)
        if name in self.refused:
            await peer.refuse(request, self.refused[name])
        elif name in _TRADES:
            fault = self.faults.pop(0) if self.faults else well
            await fault(peer, request, lambda: _TRADES[name](self, request))
        else:
            await peer.reply(request, **_ANSWERS[name](self, request))

    def buy(self, request: Request) -> Request:
        asked = request.get("parameters", PARAMETERS)
        price = asked["amount"]
        number = len(self.contracts) + 1
        shortcode = (
            f"{asked['contract_type']}_{asked.get('symbol') or asked['underlying_symbol']}"
            f"_{2 * price:.2f}_{self.now}_{asked['duration']}T_S0P_0"
        )
        contract = {
            "contract_id": 1000 + number,
            "transaction_id": 2000 + number,
            "buy_price": self.amount(price),
            "payout": self.amount(2 * price),
            "purchase_time": self.now,
            "shortcode": shortcode,
            "longcode": "Win.",
        }
        self.contracts[contract["contract_id"]] = {"status": "open", "is_sold": 0, **contract}
        self.enter("buy", contract, -price, contract["transaction_id"])
        return {"buy": {**contract, "balance_after": 100, "start_time": self.now}}

    def enter(self, action: str, contract: Request, amount: float, transaction_id: int) -> None:
        row = {
            "action_type": action,
            "amount": amount,
            "balance_after": 100,
            "contract_id": contract["contract_id"],
            "transaction_id": transaction_id,
            "reference_id": None if action == "buy" else contract["transaction_id"],
            "transaction_time": self.now,
            "payout": contract["payout"],
            "shortcode": contract["shortcode"],
            "longcode": contract["longcode"],
        }
        self.statement.insert(0, row)

    def sell(self, request: Request, status: str = "sold") -> Request:
        name = "sell" if "sell" in request else "cancel"
        contract = self.contracts[request[name]]
        contract |= {"status": status, "is_sold": 1, "sell_time": self.now, "sell_price": 7.5}
        number = 5000 + contract["contract_id"]
        self.enter("sell", contract, 7.5, number)
        receipt = {
            "contract_id": contract["contract_id"],
            "transaction_id": number,
            "reference_id": contract["transaction_id"],
            "sold_for": 7.5,
            "balance_after": 100,
        }
        return {name: receipt}

    def update(self, request: Request) -> Request:
        contract = self.contracts[request["contract_id"]]
        limits = contract.setdefault("limit_order", {})
        for name, amount in request["limit_order"].items():
            loss = name == "stop_loss" and amount is not None  # which is shown as a negative amount
            limits[name] = {"order_amount": -amount if loss else amount, "order_date": self.now}
        return {"contract_update": dict(limits)}

    def price(self, _: Request) -> Request:
        proposal = {
            "id": "0" * 31 + str(self.now % 10),
            "ask_price": self.amount(10),
            "payout": self.amount(20),
            "spot": 1.5,
            "spot_time": self.now,
            "longcode": "Win.",
        }
        return {"proposal": proposal, "subscription": {"id": proposal["id"]}}

    def state(self, request: Request) -> Request:
        contract = self.contracts.get(request["contract_id"], {})
        return {"proposal_open_contract": dict(contract)}

    def list_open(self, _: Request) -> Request:
        return {
            "portfolio": {"contracts": [c for c in self.contracts.values() if not c["is_sold"]]}
        }

    def list_closed(self, request: Request) -> Request:
        return {
            "profit_table": _page(request, [c for c in self.contracts.values() if c["is_sold"]])
        }

    def state_account(self, request: Request) -> Request:
        rows = [
            row
            for row in self.statement
            if request.get("action_type", row["action_type"]) == row["action_type"]
            and row["transaction_time"] >= request.get("date_from", 0)
        ]
        return {"statement": _page(request, rows)}

    def amount(self, amount: float) -> Any:
        return f"{amount:.2f}" if self.strings else amount


def _page(request: Request, rows: list[Request]) -> Request:
    first = request.get("offset", 0)
    rows = rows[first : first + request.get("limit", 100)]
    return {"count": len(rows), "transactions": rows}


_TRADES: dict[str, Callable[[Bank, Request], Request]] = {
    "buy": Bank.buy,
    "sell": Bank.sell,
    "cancel": lambda bank, request: bank.sell(request, "cancelled"),
    "contract_update": Bank.update,
}

_ANSWERS: dict[str, Callable[[Bank, Request], Request]] = {
    "ping": lambda _bank, _: {"ping": "pong"},
    "time": lambda bank, _: {"time": bank.now},
    "forget": lambda _bank, _: {"forget": 1},
    "website_status": lambda _bank, _: {"website_status": {}},
    "proposal": Bank.price,
    "proposal_open_contract": Bank.state,
    "portfolio": Bank.list_open,
    "profit_table": Bank.list_closed,
    "statement": Bank.state_account,
}
