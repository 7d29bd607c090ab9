"""Whether the server has more of a stream than it has sent: what to ask, and how to judge. No I/O.

Each kind of stream is asked for in its own way:

| stream | question | the server is ahead if |
|---|---|---|
| ticks, candles | `ticks_history`, one tick | that tick is newer than the stream's newest |
| `transaction` | `statement`, one row | its id is higher |
| all open contracts | the contract that was silent longest, or else `portfolio` | see below |
| any other | the same, without `subscribe` | what matters in the answer is something else |

What matters is what makes the server send a message: an amount, a price, a status. The time of the
present spot changes without a message, so it does not count.

Where the stream has not said enough to compare with, the answer to the question before is compared:
if the server's answer has changed meanwhile, and the stream said nothing, the server is ahead.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from derivtrio.api.catalog import name_of

Message = Mapping[str, Any]

#: The length of candles for a request that does not name it, in seconds.
_DEFAULT_GRANULARITY: Final = 60

#: What matters in the payload of a stream; of any other, everything but its id.
_FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "proposal_open_contract": ("contract_id", "status", "is_sold", "is_expired", "bid_price"),
    "proposal": ("ask_price", "payout"),
}

#: What is asked about streams of an account. They are silent as long as nothing happens to it.
_ABOUT_ACCOUNT: Final = frozenset({"balance", "portfolio", "statement"})


class Probe(msgspec.Struct, frozen=True):
    """One question about one stream.

    Attributes:
        stream: the stream's name in a `Stale` event.
        question: the request.
        newest: the newest message of the stream.
        granularity: for candles their length, in seconds.

    """

    stream: str
    question: Message
    newest: Message
    granularity: int = 0

    @property
    def kind(self) -> str:
        """The call that is asked."""
        return name_of(self.question)

    @property
    def about_account(self) -> bool:
        """Whether the stream is silent as long as nothing happens to the account."""
        return self.kind in _ABOUT_ACCOUNT

    @property
    def trusted(self) -> bool:
        """Whether the answer is known to be comparable with the stream's messages."""
        # A contract in the portfolio may have a stream of its own, and then it has no other.
        return self.kind in ("ticks_history", "statement", "balance", *_FACTS)

    def state_in(self, reply: Message) -> Any:
        """Return what *reply* says of the server's state, to be compared with the next reply."""
        match self.kind:
            case "ticks_history":
                times, prices = reply["history"]["times"], reply["history"]["prices"]
                return (int(times[-1]), float(prices[-1])) if times else None
            case "statement":
                rows = reply["statement"]["transactions"]
                return max((int(row["transaction_id"]) for row in rows), default=0)
            case "portfolio":
                return sorted(int(row["contract_id"]) for row in reply["portfolio"]["contracts"])
            case "balance":
                return self._balance_in(reply["balance"])
            case kind:
                return _facts(kind, reply.get(kind))

    def is_behind(self, state: Any, before: Any) -> bool:
        """Return whether the stream has not said what is in *state*; *before* is an older state."""
        if state is None:
            return False
        told = self._is_behind(state)
        changed = before is not None and bool(state != before)
        if told is None:
            return changed
        return told and (self.trusted or before is None or changed)

    def _is_behind(self, state: Any) -> bool | None:
        """Return whether the newest message is behind *state*; None if it does not say enough."""
        newest, kind = self.newest, self.kind
        if kind == "ticks_history":
            return _is_older_than(newest, state, self.granularity)
        if kind == "statement":
            row = _payload(newest, "transaction")
            return state > int(row["transaction_id"]) if "transaction_id" in row else None
        payload = _payload(newest, kind)
        if kind == "balance":
            return state != _number(payload["balance"]) if "balance" in payload else None
        return state != _facts(kind, payload) if payload else None

    def _balance_in(self, payload: Message) -> float | None:
        """Return the balance of the account that the newest message is about."""
        told = _payload(self.newest, "balance").get("loginid", payload.get("loginid"))
        accounts = payload.get("accounts")
        if payload.get("loginid") != told and isinstance(accounts, Mapping):
            payload = accounts.get(told, {})
        return _number(payload.get("balance")) if payload else None


def probe_for(request: Message, newest: Message, part: str | None = None) -> Probe | None:
    """Return what to ask about the stream that *request* opened; None if nothing can be asked.

    *newest* is its newest message. *part* is the symbol that is meant, where there are several.
    """
    account = {"loginid": request["loginid"]} if "loginid" in request else {}
    symbol = part or request.get("ticks") or request.get("ticks_history")
    if isinstance(symbol, str):
        question = {"ticks_history": symbol, "end": "latest", "count": 1, "style": "ticks"}
        candles = request.get("style") == "candles"
        length = request.get("granularity", _DEFAULT_GRANULARITY) if candles else 0
        return Probe(symbol, question, newest, length)
    if "transaction" in request:
        return Probe("transaction", {"statement": 1, "limit": 1, **account}, newest)
    if "proposal_open_contract" in request and "contract_id" not in request:
        contract = _payload(newest, "proposal_open_contract")
        if "contract_id" not in contract or contract.get("is_sold"):
            return Probe("proposal_open_contract", {"portfolio": 1, **account}, newest)
        request = {**request, "contract_id": contract["contract_id"]}
    if not request or "ticks" in request:
        return None
    question = {name: value for name, value in request.items() if name != "subscribe"}
    return Probe(name_of(question), question, newest)


def needs_state(request: Message, newest: Message) -> bool:
    """Return whether the stream says nothing of the server's state until something happens."""
    return "transaction" in request and "transaction_id" not in _payload(newest, "transaction")


def _is_older_than(newest: Message, state: tuple[int, float], granularity: int) -> bool | None:
    """Return whether *newest* is older than the tick in *state*; None if it does not say."""
    epoch, price = state
    for member in ("tick", "ohlc"):
        if "epoch" in (payload := _payload(newest, member)):
            return epoch > int(payload["epoch"])
    if times := _payload(newest, "history").get("times"):
        return epoch > int(times[-1])
    if candles := newest.get("candles"):  # of the forming candle there is only the last price
        opened, close = int(candles[-1]["epoch"]), float(candles[-1]["close"])
        return epoch >= opened + granularity or (epoch >= opened and price != close)
    return None


def _payload(message: Message, name: str) -> Message:
    payload = message.get(name)
    return payload if isinstance(payload, Mapping) else {}


def _facts(kind: str, payload: Any) -> Any:
    """Return what matters in *payload*."""
    if not isinstance(payload, Mapping):
        return payload
    names = _FACTS.get(kind) or [name for name in payload if name not in ("id", "subscription")]
    return {name: _number(payload.get(name)) for name in names}


def _number(value: Any) -> Any:
    """Return *value*, and a number as a float, also where the server writes it as a string."""
    if isinstance(value, int | float | str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
