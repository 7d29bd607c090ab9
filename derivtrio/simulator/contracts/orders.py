"""What somebody wants to buy, read from a `proposal` or from the `parameters` of a `buy`.

The contracts that are simulated are those of the four families below; whatever else the API
offers is refused here, in Deriv's words where they are known. The error codes are Deriv's, too:
`ContractCreationFailure` for parameters that make no contract, `ContractBuyValidationError` for
values that are not accepted, `OfferingsValidationError` for what is not on offer.
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

#: How long deal cancellation can be had for.
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

#: What each type of contract can be given beyond `_FORM`, and what of that it needs.
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
    """At which profit and at which loss a contract is to be closed, if at any."""

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None


@attrs.frozen
class ContractOrder:
    """A contract that could be bought; what its type has no use for is `None`.

    *amount* is the stake, or the payout if that is the *basis*. It lasts *duration* of *unit*
    (`t` for ticks, `s`, `m`, `h`, `d`), or until the epoch *expiry*. *barrier* is the text of the
    request: with a sign it is relative to the entry spot, without one a price or a digit.
    *cancellation* is in seconds.
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
        """How many ticks it lasts, if it is measured in ticks."""
        return self.duration if self.unit == "t" else None

    def end(self, start: int) -> int:
        """Return the epoch at which it expires if bought at *start*; not for ticks."""
        if self.expiry is not None:
            return self.expiry
        return start + (self.duration or 0) * _SECONDS[self.unit]


def refused(text: str) -> Refusal:
    """Return the refusal of a value that is not accepted."""
    return Refusal(code="ContractBuyValidationError", message=text)


def no_contract(text: str) -> Refusal:
    """Return the refusal of parameters that make no contract."""
    return Refusal(code="ContractCreationFailure", message=text)


def not_offered(what: str) -> Refusal:
    """Return the refusal of *what* is not traded here."""
    return Refusal(
        code="OfferingsValidationError", message=f"Trading is not offered for this {what}."
    )


def read_order(market: Market, fields: Mapping[str, Any]) -> ContractOrder:
    """Return the order that *fields* describe.

    Raises:
        Refusal: they describe none that the simulator can sell.

    """
    require_symbol(market, fields["symbol"])
    contract_type = fields["contract_type"]
    _check_fields(contract_type, fields)
    if fields["currency"] != CURRENCY:
        raise no_contract(text=f"The provided currency {fields['currency']} is invalid.")
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
    """Return the orders of a `limit_order`; one that is `null` is none."""
    amounts = {name: _money("Amount", value) for name, value in fields.items() if value is not None}
    for name, amount in amounts.items():
        if amount <= 0:
            text = f"Please enter a {name.replace('_', ' ')} amount that's higher than 0.00."
            raise refused(text=text)
    return LimitOrder(**amounts)


def check_stake(stake: Decimal) -> None:
    """Raise the `Refusal` of a *stake* that is too small."""
    if stake < MIN_STAKE:
        raise refused(text=f"Please enter a stake amount that's at least {MIN_STAKE}.")


def check_payout(payout: Decimal) -> None:
    """Raise the `Refusal` of a *payout* that is too large."""
    if payout > MAX_PAYOUT:
        raise refused(
            text=f"Minimum stake of {MIN_STAKE} and maximum payout of {MAX_PAYOUT}."
            f" Current payout is {payout:.2f}."
        )


def insufficient(balance: Decimal, price: Decimal) -> Refusal:
    """Return the refusal of a purchase that the *balance* does not suffice for."""
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
        raise no_contract(text=f"Missing required contract parameters ({', '.join(missing)}).")
    if unknown := sorted(fields.keys() - takes - _FORM - _ENVELOPE):
        names = ", ".join(unknown)
        raise no_contract(text=f"Invalid input ({names}) for this contract type ({contract_type}).")
    if "duration" in takes and not fields.keys() & {"duration", "date_expiry"}:
        raise no_contract(text="Missing required contract parameters (duration or date_expiry).")


def _number(value: float | None) -> Decimal | None:
    return None if value is None else exact(value)


def _money(what: str, value: float) -> Decimal:
    amount = exact(value)
    if amount > _MAX_AMOUNT:
        raise refused(text=f"{what} is too large.")
    if amount != round(amount, 2):
        raise refused(text=f"{what} can not have more than 2 decimal places.")
    return round(amount, 2)


def _cancellation(text: str | None) -> int | None:
    if text is None:
        return None
    if text not in CANCELLATIONS:
        raise refused(text="Deal cancellation is not offered at this duration.")
    return int(text[:-1]) * MINUTE
