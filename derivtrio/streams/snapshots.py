"""Streams whose every message is the whole truth: a balance, a contract, a price. No I/O.

Nothing is missing after an interruption, for the next snapshot says it all; so these lines have
no holes. That of a contract is over when the contract is sold: Deriv says nothing after that.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Never

import attrs

from derivtrio.api.parsing import exact, money, text_of, whole, whole_or_none
from derivtrio.api.underlying import symbol_of
from derivtrio.models import Balance, Money, OpenContract, Proposal

_PRICES: Final = "buy_price bid_price sell_price payout profit current_spot".split()


class Snapshots:
    """What all these lines are: nothing can be missing in them."""

    __slots__ = ()

    def interrupt(self) -> None:
        """Do nothing."""

    def missing(self) -> Sequence[Never]:
        """Return nothing."""
        return ()


@attrs.define(eq=False)
class BalanceTranslator(Snapshots):
    """Balances of the authorized account."""

    over: bool = attrs.field(default=False, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Balance]:
        """Return the balance in *message*."""
        payload = message.get("balance")
        if not isinstance(payload, dict) or "loginid" not in payload:
            return ()
        amount = money(payload["balance"]) or 0.0
        return (Balance(payload["loginid"], amount, payload["currency"]),)


@attrs.define(eq=False)
class ContractTranslator(Snapshots):
    """One contract, up to and including the message in which it is sold."""

    over: bool = attrs.field(default=False, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[OpenContract]:
        """Return the contract in *message*; none in the empty answer for an unknown one."""
        payload = message.get("proposal_open_contract")
        if not isinstance(payload, dict) or "contract_id" not in payload:
            return ()
        contract = contract_in(payload)
        self.over = contract.is_sold
        return (contract,)


@attrs.define(eq=False)
class PlainContractTranslator(Snapshots):
    """What is said of one contract, as it is, up to and including the message in which it is sold.

    It begins with a purchase, or with the contract.
    """

    over: bool = attrs.field(default=False, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return *message*."""
        payload = message.get("proposal_open_contract")
        self.over = isinstance(payload, dict) and bool(payload.get("is_sold"))
        return (message,)


@attrs.define(eq=False)
class StatusTranslator(Snapshots):
    """What `website_status` says, as it is; the limits in it are noted on the way."""

    _note: Callable[[Mapping[str, Any]], None]
    over: bool = attrs.field(default=False, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return *message*."""
        self._note(message)
        return (message,)


@attrs.define(eq=False)
class ProposalTranslator(Snapshots):
    """Prices of the contract that `parameters` describe; `connection` says which is the present."""

    _parameters: Mapping[str, Any]
    _connection: Callable[[], int | None]
    over: bool = attrs.field(default=False, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Proposal]:
        """Return the price in *message*."""
        payload = message.get("proposal")
        if not isinstance(payload, dict) or "id" not in payload:
            return ()
        proposal = Proposal(
            id=payload["id"],
            ask_price=exact(payload["ask_price"]),
            payout=money(payload.get("payout")),
            spot=money(payload.get("spot")),
            spot_time=payload.get("spot_time"),
            longcode=payload.get("longcode", ""),
            parameters=self._parameters,
            connection=self._connection(),
            raw=payload,
        )
        return (proposal,)


def contract_in(payload: Mapping[str, Any]) -> OpenContract:
    """Return the contract in *payload*, in the words of either generation."""
    contract_id = whole(payload["contract_id"])
    limits = payload.get("limit_order")
    return OpenContract(
        contract_id=contract_id,
        contract_type=text_of(payload.get("contract_type")),
        symbol=symbol_of(payload),
        status=text_of(payload.get("status")) or None,
        is_expired=bool(payload.get("is_expired")),
        is_sold=bool(payload.get("is_sold")),
        currency=text_of(payload.get("currency")),
        **{price: money(payload.get(price)) for price in _PRICES},
        entry_spot=_spot(payload, "entry"),
        exit_spot=_spot(payload, "exit"),
        barrier=_barrier(payload.get("barrier")),
        purchase_time=whole_or_none(payload.get("purchase_time")),
        date_expiry=whole_or_none(payload.get("date_expiry")),
        sell_time=whole_or_none(payload.get("sell_time")),
        is_valid_to_sell=bool(payload.get("is_valid_to_sell")),
        limit_order=limits if isinstance(limits, Mapping) else None,
        shortcode=text_of(payload.get("shortcode")),
        longcode=text_of(payload.get("longcode")),
        raw=payload,
    )


def _barrier(value: Any) -> str | None:
    """Return a barrier as text, also where a server writes it as a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(exact(value))
    return text_of(value) or None


def _spot(payload: Mapping[str, Any], which: str) -> Money | None:
    """Return the price at the entry or the exit: a `spot` in new payloads, a `tick` in old ones."""
    spot = payload.get(f"{which}_spot")
    return money(payload.get(f"{which}_tick") if spot is None else spot)
