"""Streams whose every message is the whole truth: a balance, a contract, a price. No I/O.

Nothing is missing after an interruption, for the next snapshot says it all; so these lines have
no holes. That of a contract is over when the contract is sold: Deriv says nothing after that.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Never

import attrs

from derivtrio.api.parsing import exact, money
from derivtrio.models import Balance, OpenContract, Proposal

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
    return OpenContract(
        contract_id=payload["contract_id"],
        contract_type=payload.get("contract_type", ""),
        symbol=payload.get("underlying_symbol") or payload.get("underlying", ""),
        status=payload.get("status"),
        is_expired=bool(payload.get("is_expired")),
        is_sold=bool(payload.get("is_sold")),
        currency=payload.get("currency", ""),
        **{price: money(payload.get(price)) for price in _PRICES},
        purchase_time=payload.get("purchase_time"),
        date_expiry=payload.get("date_expiry"),
        shortcode=payload.get("shortcode", ""),
        longcode=payload.get("longcode", ""),
        raw=payload,
    )
