"""The log of this client's trades: what is under way, what is in doubt, and what is known.

A purchase in doubt is recognized among the account's purchases by leaving out those whose origin
is known, and by knowing which others are in doubt as well. So every trade is logged, however it was
made, and also if its caller was cancelled.

The log stays small. What is known is kept only while an older trade is in doubt. If thousands of
doubts are never resolved, the oldest entries are evicted, and the log remembers until when that
went: about trades of that time no purchase can be claimed with certainty any more.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple
from weakref import WeakKeyDictionary

import attrs
import trio

from derivtrio.api.parsing import ident_in
from derivtrio.api.trades import NO_TERMS, contract_of
from derivtrio.calls.call import Call, is_refused
from derivtrio.calls.other_clients import OtherClients
from derivtrio.calls.routing import has_error
from derivtrio.errors import ApiError, OutcomeUnknown
from derivtrio.models import Outcome
from derivtrio.policy.newest import shorten
from derivtrio.policy.server_clock import Moment, ServerTime
from derivtrio.wording import shown

#: By how many seconds a purchase may seem older than the trade that it belongs to.
_SLACK: Final = 120

#: The calls that end a contract. Each contract ends once.
SALES: Final = ("sell", "cancel")

#: Buys a contract for each of several accounts. `reconcile` cannot decide it; but what it leads to
#: must not be taken for what another order has led to.
BULK_BUY: Final = "buy_contract_for_multiple_accounts"

#: The calls that use up a proposal.
BUYS: Final = ("buy", BULK_BUY)

#: What has been done to a contract.
Action = Literal["bought", "sold"]

#: Refusals that come before the server looks at what is to be bought.
_UNEXAMINED: Final = frozenset(
    "AuthorizationRequired InputValidationFailed PermissionDenied RateLimit".split()
)

#: How many entries of each kind are kept.
_MOST_KNOWN: Final = 10_000
_MOST_DOUBTS: Final = 1000
_MOST_PROPOSALS: Final = 1000
_MOST_BULK_BUYS: Final = 100

#: How much is told of one member of an order, in characters.
_LONGEST_TOLD: Final = 60


class Origin(NamedTuple):
    """Since when something is known, and which call is behind it.

    In this client a call is identified by its `req_id`. A doubt that comes from another client is
    identified only by when it was written.
    """

    learnt_mono: float
    req_id: int = 0
    written_wall: float = 0.0


@attrs.define(eq=False, repr=False)
class TradeLog:
    """The trades of one client, from their making until nothing can be mistaken for them.

    Attributes:
        whose: returns the account of a trade that names none; None if that is not known.
        used: told of each proposal, by its id, that a purchase has used up, or may have used up.
        streamed: returns the request of the stream that a proposal, given by its id, belongs to.
        others: the other clients of this process, and what they know of the same accounts.
        server_time: what is known of the server's clock.
        outcomes: what has been found out about trades that were in doubt.

    """

    whose: Callable[[], str | None] = attrs.field(default=lambda: None)
    used: Callable[[str], None] = attrs.field(default=lambda _: None)
    streamed: Callable[[str], Mapping[str, Any] | None] = attrs.field(default=lambda _: None)
    others: OtherClients = attrs.field(factory=OtherClients)
    server_time: ServerTime = attrs.field(factory=ServerTime, init=False)
    outcomes: WeakKeyDictionary[OutcomeUnknown, Outcome] = attrs.field(
        factory=WeakKeyDictionary, init=False
    )
    _proposed: dict[str, Mapping[str, Any]] = attrs.field(factory=dict, init=False)
    _bulk_buys: dict[Call, None] = attrs.field(factory=dict, init=False)
    _under_way: dict[Call, None] = attrs.field(factory=dict, init=False)
    _in_doubt: dict[OutcomeUnknown, Call] = attrs.field(factory=dict, init=False)
    _known: dict[tuple[Action, int], Origin] = attrs.field(factory=dict, init=False)
    _evicted_until_mono: float = attrs.field(default=-math.inf, init=False)
    _seen: WeakKeyDictionary[OutcomeUnknown, float] = attrs.field(
        factory=WeakKeyDictionary, init=False
    )

    @property
    def doubts(self) -> tuple[OutcomeUnknown, ...]:
        """The trades that are in doubt, oldest first."""
        return tuple(self._in_doubt)

    @property
    def calls_in_doubt(self) -> tuple[Call, ...]:
        """The calls that made them."""
        return tuple(self._in_doubt.values())

    def seen_since(self, unknown: OutcomeUnknown) -> float:
        """Return since when this client knows of *unknown*, on trio's clock."""
        return self._seen.setdefault(unknown, trio.current_time())

    def begin(self, call: Call) -> None:
        """Note a trade that is about to be made."""
        if call.name == "buy" and "parameters" not in call.request:
            call.terms = self._terms_of(call.request["buy"]) or call.terms
        call.meant_for = self.whose()
        self._under_way[call] = None

    def is_for_its_account(self, call: Call) -> bool:
        """Return whether *call*, written now, is for the account that it was meant for.

        It may have waited for a connection, or for the rate limit, while that was changed.
        """
        named = call.request.get("loginid") is not None
        return named or call.meant_for is None or call.meant_for == self.whose()

    def end(self, call: Call) -> OutcomeUnknown | None:
        """Note that a trade's caller has its answer, or has gone away.

        Return the doubt that nobody is told of, if there is one.
        """
        del self._under_way[call]
        if isinstance(call.error, OutcomeUnknown):
            self._enter(call.error, call)
        elif call.handed_over:
            self.learn_from(call)
            self.note_time(call, _purchase_time(call.answer))
        elif call.written_mono is not None:
            return self.doubt(call, f"the caller of {call.name} went away before its reply came")
        return None

    def doubt(self, call: Call, text: str) -> OutcomeUnknown:
        """Put *call* in doubt, for the reason *text*."""
        unknown = call.doubt(text)
        self._enter(unknown, call)
        return unknown

    def begin_bulk(self, call: Call) -> None:
        """Note that *call*, a `BULK_BUY`, is about to be made; and nothing is known of it yet."""
        self._bulk_buys[call] = None
        if len(self._bulk_buys) > _MOST_BULK_BUYS:
            oldest = next(iter(self._bulk_buys))
            del self._bulk_buys[oldest]
            self._note_evicted(oldest)

    def end_bulk(self, call: Call, reply: Mapping[str, Any] | None = None) -> None:
        """Note the contracts in *reply*; None if the server has refused, or was not asked."""
        self._bulk_buys.pop(call, None)
        payload = None if reply is None else reply.get(call.name)
        rows = payload.get("result") if isinstance(payload, Mapping) else None
        for row in rows if isinstance(rows, list) else ():
            if (contract_id := contract_of({"buy": row})) is not None:
                self.know(contract_id, "bought", call)

    def has_bulk_buy(self, written_mono: float) -> bool:
        """Return whether a `BULK_BUY` of that time, or later, may have led to any purchase."""
        calls = (call.written_mono for call in self._bulk_buys)
        return any(each is not None and each >= written_mono - _SLACK for each in calls)

    def note_proposal(self, request: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        """Note what the proposal in *reply* was asked for with, should it be bought by its id."""
        payload = reply.get("proposal")
        proposal = payload.get("id") if isinstance(payload, Mapping) else None
        if isinstance(proposal, str):
            self._proposed[proposal] = request
            shorten(self._proposed, _MOST_PROPOSALS)

    def note_time(self, call: Call, epoch: object) -> None:
        """Note that *epoch* was the server's time when it answered *call*, just now."""
        if epoch == self.server_time.last_epoch:
            return  # a second answer within a second says nothing new
        if (written := _moment_of(call)) is not None:
            self.server_time.note_answer(epoch, written, Moment(trio.current_time(), time.time()))

    def note_used(self, call: Call) -> None:
        """Note that *call*, one of `BUYS`, has ended, and may have used up its proposal."""
        proposal = call.request.get(call.name)
        if isinstance(proposal, str) and _may_have_used_up(call):
            self.used(proposal)

    def is_buying(self, proposals: Collection[str]) -> bool:
        """Return whether one of these is being bought just now, by its id."""
        buying = [call.request["buy"] for call in self._under_way if call.name == "buy"]
        return any(isinstance(each, str) and each in proposals for each in buying)

    def is_under_way(self, call: Call) -> bool:
        """Return whether the caller of a trade still waits for its answer."""
        return call in self._under_way

    def doubt_of(self, call: Call) -> OutcomeUnknown | None:
        """Return the doubt about *call*, if there is one."""
        return next((unknown for unknown, each in self._in_doubt.items() if each is call), None)

    def call_of(self, unknown: OutcomeUnknown) -> Call | None:
        """Return the call that *unknown* is about, while it is in doubt."""
        return self._in_doubt.get(unknown)

    def resolve(self, unknown: OutcomeUnknown, outcome: Outcome) -> None:
        """Note what has been found out."""
        self.outcomes[unknown] = outcome
        self.others.resolve(unknown, self._in_doubt.pop(unknown, None))

    def rivals_of(self, call: Call | None, names: Collection[str] = ("buy",)) -> list[Call]:
        """Return the other calls of these *names*, written and of an outcome that is not known."""
        calls = (*self._in_doubt.values(), *self._under_way)
        for each in calls:
            self.learn_from(each)
        return [
            each
            for each in calls
            if each is not call
            and each.name in names
            and each.written_mono is not None
            and not is_answered(each)
        ]

    def is_known(
        self,
        contract_id: int,
        action: Action = "bought",
        other_than: Call | OutcomeUnknown | None = None,
    ) -> bool:
        """Return whether a call of ours, *other_than* this one, has bought or sold the contract.

        Ours are the calls of this client. For one of them, ours are the calls of the other clients
        in this process, too. (A doubt that came from elsewhere may be of one of these.)
        """
        origin = self._known.get((action, contract_id))
        if origin is None and isinstance(other_than, Call):
            return self.others.have_done(action, contract_id, other_than)
        if origin is None or other_than is None:
            return origin is not None
        if isinstance(other_than, Call):
            return origin.req_id != other_than.req_id
        return origin.written_wall != other_than.written_at

    def is_evicted(self, written_mono: float) -> bool:
        """Return whether entries were evicted of the time when a trade was written."""
        return written_mono - _SLACK <= self._evicted_until_mono

    def know(self, contract_id: int, action: Action = "bought", call: Call | None = None) -> None:
        """Note that the contract was bought, or sold, by *call*."""
        now = trio.current_time()
        origin = Origin(now) if call is None else Origin(now, call.req_id, call.written_wall)
        self._known.setdefault((action, contract_id), origin)
        if call is not None:
            self.others.know(action, contract_id, call)
        if len(self._known) > _MOST_KNOWN:
            self._evict()

    def _terms_of(self, proposal: object) -> Mapping[str, Any] | None:
        """Return the contract that a proposal is for, by its id; None if that is not known."""
        if not isinstance(proposal, str):
            return None
        request = self._proposed.get(proposal) or self.streamed(proposal)
        return request and {name: each for name, each in request.items() if name not in NO_TERMS}

    def _enter(self, unknown: OutcomeUnknown, call: Call) -> None:
        self._in_doubt[unknown] = call
        unknown.add_note(f"{order_text(call)}; client.reconcile finds out what has become of it")
        unknown.run = trio.lowlevel.current_trio_token()
        written = _moment_of(call)
        unknown.server_epoch = None if written is None else self.server_time.at(written)
        self.others.doubt(call)
        if len(self._in_doubt) > _MOST_DOUBTS:
            oldest = self._in_doubt.pop(next(iter(self._in_doubt)))
            self._note_evicted(oldest)

    def learn_from(self, call: Call) -> None:
        """Note the contract that *call* has bought, or sold, by its answer."""
        if call.name == "buy" and (contract_id := contract_of(call.answer)) is not None:
            self.know(contract_id, "bought", call)
        elif call.name in SALES:
            contract_id = contract_of(call.answer, call.name)
            if contract_id is not None and contract_id == _sold_by(call):
                self.know(contract_id, "sold", call)

    def _note_evicted(self, call: Call) -> None:
        """Note that *call*, which may have led to purchases, is not known any more."""
        until = min(call.closed_mono, trio.current_time()) + _SLACK
        self._evicted_until_mono = max(self._evicted_until_mono, until)

    def _evict(self) -> None:
        """Forget what no trade in doubt can be mistaken for; and more, if that is not enough."""
        calls = (*self._in_doubt.values(), *self._under_way)
        written = [each.written_mono for each in calls if each.written_mono is not None]
        horizon = min(written, default=trio.current_time()) - _SLACK
        most = _MOST_KNOWN // 2
        excess = list(self._known.items())
        for what, origin in excess[:-most]:
            if origin.learnt_mono >= horizon:
                self._evicted_until_mono = max(self._evicted_until_mono, origin.learnt_mono)
            del self._known[what]


def _moment_of(call: Call) -> Moment | None:
    """Return when *call* was written; None if it was not."""
    return None if call.written_mono is None else Moment(call.written_mono, call.written_wall)


def _purchase_time(answer: Mapping[str, Any] | None) -> object:
    payload = None if answer is None else answer.get("buy")
    return payload.get("purchase_time") if isinstance(payload, Mapping) else None


def _may_have_used_up(call: Call) -> bool:
    """Return whether *call* may have used up the proposal that it was to buy.

    Deriv does not say whether a proposal outlives a purchase that is refused. It does if the
    refusal came before the server looked at it.
    """
    error = call.error
    refused = isinstance(error, ApiError) and error.code in _UNEXAMINED
    return call.written_mono is not None and not refused


def order_text(call: Call) -> str:
    """Return in words what a trade was to do, when it was written, and for which account."""
    request, terms = call.request, call.terms or {}
    if call.name == "buy":
        symbol = terms.get("symbol") or terms.get("underlying_symbol")
        known = (terms.get("contract_type"), symbol, terms.get("basis"), terms.get("amount"))
        what = " ".join(_told(each) for each in known if each is not None) or "a proposal"
        what += f" for at most {_told(request.get('price'))}"
    else:
        what = f"contract {_told(request.get('contract_id', request.get(call.name)))}"
    when = datetime.fromtimestamp(call.written_wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    account = "" if call.loginid is None else f" for {call.loginid}"
    return f"{call.name} {what}, written at {when}{account}"


def _told(value: object) -> str:
    return str(value)[:_LONGEST_TOLD] if isinstance(value, str | Decimal) else shown(value)


def is_answered(call: Call) -> bool:
    """Return whether the server has said what became of a trade, however late."""
    answer = call.answer
    if answer is None:
        return False
    if has_error(answer):
        return is_refused(call.name, answer)
    if call.name == "contract_update":
        return isinstance(answer.get(call.name), Mapping)
    contract_id = contract_of(answer, call.name)
    return contract_id is not None and (call.name == "buy" or contract_id == _sold_by(call))


def _sold_by(call: Call) -> int | None:
    """Return which contract *call*, one of `SALES`, ends."""
    return ident_in(call.request[call.name])
