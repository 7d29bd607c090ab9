"""Orders: the contract that a client asks for in a `proposal`, or in the `parameters` of a `buy`.

Four groups of contract types are simulated, listed below. Other orders are refused, with Deriv's
texts where they are known, and with Deriv's error codes: `ContractCreationFailure` for parameters
that do not fit together, `ContractBuyValidationError` for a value that is not accepted,
`OfferingsValidationError` for a contract that is not on offer.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs

from derivtrio.simulator.contracts.money import exact, in_words
from derivtrio.simulator.market.hours import DAY, HOUR, MINUTE
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.market.symbol_checks import require_symbol
from derivtrio.simulator.market.symbols import Symbol
from derivtrio.simulator.protocol.envelope import Refusal

MIN_STAKE = Decimal("0.35")
MAX_PAYOUT = Decimal("50000.00")
CURRENCY = "USD"

#: The durations of deal cancellation on offer.
CANCELLATIONS = ("5m", "10m", "15m", "30m", "60m")

RISE_FALL = ("CALL", "CALLE", "PUT", "PUTE")
DIGITS = ("DIGITMATCH", "DIGITDIFF", "DIGITEVEN", "DIGITODD", "DIGITOVER", "DIGITUNDER")
MULTIPLIERS = ("MULTUP", "MULTDOWN")
ACCUMULATORS = ("ACCU",)

_MAX_AMOUNT = 10**9
_SECONDS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}

_TIMING = {"duration", "duration_unit", "date_expiry"}
_FORM = {"contract_type", "currency", "symbol", "amount", "basis", "product_type"}
_ENVELOPE = {"proposal", "subscribe", "loginid", "passthrough", "req_id", "app_markup_percentage"}

#: For each contract type: the fields it accepts beyond `_FORM`, and which of those it requires.
_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    **dict.fromkeys(RISE_FALL, (_TIMING | {"barrier"}, set())),
    **dict.fromkeys(DIGITS, (_TIMING | {"barrier"}, {"barrier"})),
    "DIGITEVEN": (_TIMING, set()),
    "DIGITODD": (_TIMING, set()),
    **dict.fromkeys(MULTIPLIERS, ({"multiplier", "cancellation", "limit_order"}, {"multiplier"})),
    "ACCU": ({"growth_rate", "limit_order"}, {"growth_rate"}),
}


@attrs.frozen
class LimitOrder:
    """The profit and the loss at which the contract is closed; `None` means no limit."""

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None


@attrs.frozen
class ContractOrder:
    """The contract that is asked for; fields that its type does not use are `None`.

    *amount* is the stake or the payout, as *basis* says. The contract lasts for *duration* of
    *unit* (`t` for ticks, `s`, `m`, `h`, `d`), or until the epoch *expiry*. *barrier* is the text
    of the request: with a sign it is relative to the entry spot, without one it is a price or a
    digit. *cancellation* is in seconds.
    """

    contract_type: str
    symbol: Symbol
    amount: Decimal
    basis: str = "stake"
    duration: int | None = None
    unit: str = "s"
    expiry: int | None = None
    barrier: str | None = None
    multiplier: Decimal | None = None
    growth_rate: Decimal | None = None
    cancellation: int | None = None
    limit_order: LimitOrder = LimitOrder()

    @property
    def ticks(self) -> int | None:
        """The duration in ticks; `None` if it is measured in time."""
        return self.duration if self.unit == "t" else None

    def end(self, start: int) -> int:
        """Return the expiry of a contract bought at *start*; not for durations in ticks."""
        if self.expiry is not None:
            return self.expiry
        return start + (self.duration or 0) * _SECONDS[self.unit]


def not_accepted(text: str) -> Refusal:
    """Return the refusal of a value that is not accepted."""
    return Refusal(code="ContractBuyValidationError", message=text)


def not_a_contract(text: str) -> Refusal:
    """Return the refusal of parameters that do not fit together."""
    return Refusal(code="ContractCreationFailure", message=text)


def not_offered(what: str) -> Refusal:
    """Return the refusal of a contract whose *what* (asset, duration, …) is not on offer."""
    return Refusal(
        code="OfferingsValidationError", message=f"Trading is not offered for this {what}."
    )


def read_order(market: Market, fields: Mapping[str, Any]) -> ContractOrder:
    """Return the order in the *fields* of a request.

    Raises:
        Refusal: the simulator does not sell such a contract.

    """
    require_symbol(market, fields["symbol"])
    contract_type = fields["contract_type"]
    _check_fields(contract_type, fields)
    if fields["currency"] != CURRENCY:
        raise not_a_contract(text=f"The provided currency {fields['currency']} is invalid.")
    return ContractOrder(
        contract_type=contract_type,
        symbol=market.symbols[fields["symbol"]],
        amount=_money("Stake", fields["amount"]),
        basis=fields.get("basis", "payout" if contract_type in RISE_FALL + DIGITS else "stake"),
        duration=fields.get("duration"),
        unit=fields.get("duration_unit", "s"),
        expiry=fields.get("date_expiry"),
        barrier=fields.get("barrier"),
        multiplier=_number(fields.get("multiplier")),
        growth_rate=_number(fields.get("growth_rate")),
        cancellation=_cancellation(fields.get("cancellation")),
        limit_order=read_limit_order(fields.get("limit_order", {})),
    )


def read_limit_order(fields: Mapping[str, Any]) -> LimitOrder:
    """Return the limits in a `limit_order`; `null` means no limit."""
    amounts = {name: _money("Amount", value) for name, value in fields.items() if value is not None}
    for name, amount in amounts.items():
        if amount <= 0:
            text = f"Please enter a {name.replace('_', ' ')} amount that's higher than 0.00."
            raise not_accepted(text=text)
    return LimitOrder(**amounts)


def check_stake(stake: Decimal) -> None:
    """Raise the `Refusal` if *stake* is too small."""
    if stake < MIN_STAKE:
        raise not_accepted(text=f"Please enter a stake amount that's at least {MIN_STAKE}.")


def check_payout(payout: Decimal) -> None:
    """Raise the `Refusal` if *payout* is too large."""
    if payout > MAX_PAYOUT:
        raise not_accepted(
            text=f"Minimum stake of {MIN_STAKE} and maximum payout of {MAX_PAYOUT}."
            f" Current payout is {payout:.2f}."
        )


def insufficient(balance: Decimal, price: Decimal) -> Refusal:
    """Return the refusal of a purchase whose *price* is above the *balance*."""
    text = (
        f"Your account balance ({in_words(CURRENCY, balance)}) is insufficient"
        f" to buy this contract ({in_words(CURRENCY, price)})."
    )
    return Refusal(code="InsufficientBalance", message=text)


def _check_fields(contract_type: str, fields: Mapping[str, Any]) -> None:
    if contract_type not in _FIELDS:
        raise not_offered(what="contract type")
    takes, needs = _FIELDS[contract_type]
    if missing := sorted(({"amount"} | needs) - fields.keys()):
        raise not_a_contract(text=f"Missing required contract parameters ({', '.join(missing)}).")
    if unknown := sorted(fields.keys() - takes - _FORM - _ENVELOPE):
        names = ", ".join(unknown)
        raise not_a_contract(
            text=f"Invalid input ({names}) for this contract type ({contract_type})."
        )
    if "duration" in takes and not fields.keys() & {"duration", "date_expiry"}:
        raise not_a_contract(text="Missing required contract parameters (duration or date_expiry).")


def _number(value: float | None) -> Decimal | None:
    return None if value is None else exact(value)


def _money(what: str, value: float) -> Decimal:
    amount = exact(value)
    if amount > _MAX_AMOUNT:
        raise not_accepted(text=f"{what} is too large.")
    if amount != round(amount, 2):
        raise not_accepted(text=f"{what} can not have more than 2 decimal places.")
    return round(amount, 2)


def _cancellation(text: str | None) -> int | None:
    if text is None:
        return None
    if text not in CANCELLATIONS:
        raise not_accepted(text="Deal cancellation is not offered at this duration.")
    return int(text[:-1]) * MINUTE
