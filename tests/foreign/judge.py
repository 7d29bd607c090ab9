"""Compares what the other client saw with the market, the ledger and Deriv's schemas."""

from collections.abc import Iterator
from typing import Any

import attrs
from jsonschema import ValidationError

from derivtrio.simulator import Closing, Contract, Ledger, Market
from tests import deriv_schemas

#: A name, what was seen, and what should have been seen.
Claim = tuple[str, Any, Any]

_TICKS = "1HZ100V"


@attrs.frozen
class Judge:
    """Knows what really happened; *seen* is what `driver` printed."""

    seen: Any = attrs.field(repr=False)
    market: Market
    ledger: Ledger

    def complaints(self) -> list[str]:
        """Return what is wrong, in words."""
        found = [f"the library complains of {error}" for error in self.seen["complaints"]]
        found += [
            f"{what}: {seen!r} instead of {due!r}"
            for what, seen, due in self._claims()
            if seen != due
        ]
        return found + (list(self._misshapen()) if deriv_schemas.available() else [])

    def _claims(self) -> Iterator[Claim]:
        yield from self._surroundings()
        yield from self._quotes()
        yield from self._contracts()
        yield from self._books()

    def _misshapen(self) -> Iterator[str]:
        for message in self.seen["messages"]:
            try:
                deriv_schemas.check_message(message)
            except (AssertionError, ValidationError) as error:
                yield f"{message['msg_type']} is not as published: {str(error).splitlines()[0]}"

    def _surroundings(self) -> Iterator[Claim]:
        yield "ping", self._payload("ping"), "pong"
        listed = {entry["symbol"] for entry in self._payload("active_symbols")}
        yield "active_symbols", listed, self.market.symbols.keys()
        codes = {step: reply["code"] for step, reply in self._replies() if "code" in reply}
        refused = {
            "no symbol": "InvalidSymbol",
            "no login": "AuthorizationRequired",
            "bought again": "InvalidContractProposal",
        }
        yield "the refusals", codes, refused
        yield "the login", self._payload("authorize")["loginid"], self.ledger.account.loginid
        yield "logout", self._payload("logout"), 1

    def _quotes(self) -> Iterator[Claim]:
        ticks = [message["tick"] for message in self.seen["streams"]["ticks"]]
        rows = [(tick["epoch"], tick["quote"]) for tick in ticks]
        yield "the ticks", rows, self._ticks(_TICKS, rows[0][0], rows[-1][0])
        yield "the ticks after forget", self._late_ticks(), []
        history = self._payload("ticks_history")
        rows = list(zip(history["times"], history["prices"], strict=True))
        yield "the history", rows, self._ticks("R_100", rows[0][0], rows[-1][0])
        forming = [message["ohlc"] for message in self.seen["streams"]["candles"][1:]]
        closes = [(candle["epoch"], float(candle["close"])) for candle in forming]
        yield "the candles", closes, self._ticks("R_100", closes[0][0], closes[-1][0])

    def _contracts(self) -> Iterator[Claim]:
        proposed = self._payload("buy")["contract_id"]
        at_once = self.seen["streams"]["purchase"][0]["buy"]["contract_id"]
        sold = self._payload("sell")["contract_id"]
        yield "the contracts", [proposed, at_once, sold], list(self.ledger.contracts)
        for stream, contract_id in (("contract", proposed), ("purchase", at_once)):
            told = self.seen["streams"][stream][-1]["proposal_open_contract"]
            contract, closing = self._closed(contract_id)
            end = [told["contract_id"], told["status"], told["sell_price"]]
            yield f"the end of {stream}", end, [contract_id, closing.status, float(closing.price)]
            yield f"the price of {stream}", told["buy_price"], float(contract.buy_price)
        held = self._payload("portfolio")["contracts"]
        yield "the portfolio", [contract["contract_id"] for contract in held], [sold]
        yield "the portfolio at last", self._payload("portfolio at last")["contracts"], []
        _, closing = self._closed(sold)
        yield "what was sold", self._payload("sell")["sold_for"], float(closing.price)

    def _books(self) -> Iterator[Claim]:
        entries = self.ledger.transactions
        rows = [
            (entry.transaction_id, float(entry.amount), float(entry.balance_after))
            for entry in entries
        ]
        stated = [
            (row["transaction_id"], row["amount"], row["balance_after"])
            for row in self._payload("statement")["transactions"]
        ]
        yield "the statement", stated[::-1], rows
        told = [message["transaction"] for message in self.seen["streams"]["transactions"][1:]]
        streamed = [(row["transaction_id"], row["amount"], row["balance"]) for row in told]
        yield "the transactions", streamed, rows
        balances = [message["balance"]["balance"] for message in self.seen["streams"]["balance"]]
        opening = float(self.ledger.opening_balance)
        yield "the balances", balances, [opening, *(balance for _, _, balance in rows)]
        yield "the balance", self._payload("balance")["balance"], rows[-1][-1]
        closed = [row["contract_id"] for row in self._payload("profit_table")["transactions"]]
        yield "the profit table", closed[::-1], list(self.ledger.contracts)

    def _replies(self) -> Any:
        return self.seen["replies"].items()

    def _payload(self, step: str) -> Any:
        reply = self.seen["replies"][step]
        return reply[reply["msg_type"]]

    def _closed(self, contract_id: int) -> tuple[Contract, Closing]:
        contract = self.ledger.contracts[contract_id]
        assert contract.closing is not None
        return contract, contract.closing

    def _ticks(self, symbol: str, first: int, last: int) -> list[tuple[int, float]]:
        return [(tick.epoch, tick.quote) for tick in self.market.ticks(symbol, first, last)]

    def _late_ticks(self) -> list[Any]:
        messages = self.seen["messages"]
        forgotten = next(n for n, each in enumerate(messages) if each["msg_type"] == "forget")
        return [each for each in messages[forgotten:] if each["msg_type"] == "tick"]
