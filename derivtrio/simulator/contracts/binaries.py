"""Binary options, which pay a fixed amount or nothing: rise/fall, and last digits.

1. The entry spot is the first tick after the purchase.
2. A rise/fall contract of N ticks ends with the Nth tick after the entry spot. A digit contract of
   N ticks ends with the Nth tick, where the entry spot is the first. (Deriv's published sources.)
3. A contract of a certain time ends at that time, with the last tick up to then. A day is 24 hours.
4. Only a rise/fall contract of a certain time can be sold back.
"""

from decimal import Decimal

from derivtrio.simulator.contracts.contract import Closing, Contract, Quote
from derivtrio.simulator.contracts.contract_codes import longcode, shortcode
from derivtrio.simulator.contracts.money import down_to_cents, to_cents
from derivtrio.simulator.contracts.orders import (
    DIGITS,
    MAX_PAYOUT,
    MIN_STAKE,
    ContractOrder,
    check_payout,
    check_stake,
    not_accepted,
    not_offered,
)
from derivtrio.simulator.contracts.pricing import asked_rate, bid_rate, chance_above
from derivtrio.simulator.contracts.spots import display_price, entry_members
from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.market.market import Market, MarketTick
from derivtrio.simulator.market.symbol_checks import require_open
from derivtrio.simulator.protocol.envelope import Message, Refusal

#: The shortest duration in seconds, and the longest in ticks.
MIN_SECONDS = 15
MAX_TICKS = 10


class BinaryFamily:
    """Rise/fall and digit contracts."""

    def quote(self, order: ContractOrder, market: Market, epoch: int) -> Quote:
        """See `ContractFamily.quote`; a payout is rounded down, a price to the nearest cent."""
        spot = _spot(order, market, epoch)
        expiry = _expiry(order, market, epoch)
        rate = asked_rate(_chance(order, spot.quote, _barrier(order, spot), expiry - epoch))
        if order.basis == "stake":
            ask, payout = order.amount, down_to_cents(order.amount / rate)
        else:
            ask, payout = to_cents(order.amount * rate), order.amount
        check_stake(ask)
        check_payout(payout)
        if ask >= payout:
            raise not_accepted(text="This contract offers no return.")
        barrier = _barrier_text(order, spot)
        return Quote(
            order=order,
            epoch=epoch,
            spot=spot,
            ask=ask,
            payout=payout,
            expiry=expiry,
            longcode=longcode(order, epoch),
            shortcode=shortcode(order, payout, epoch, expiry),
            details={
                **({} if barrier is None else {"contract_details": {"barrier": barrier}}),
                "validation_params": {
                    "payout": {"max": str(MAX_PAYOUT)},
                    "stake": {"min": str(MIN_STAKE)},
                },
            },
        )

    def find_closing(self, contract: Contract, market: Market, since: int) -> Closing:  # noqa: ARG002
        """See `ContractFamily.find_closing`; the epoch of the end is known from the beginning."""
        last, order = market.tick(contract.order.symbol.name, _end(contract)), contract.order
        won = _wins(order, last, _barrier(order, _entry(contract, market)))
        price = contract.quote.payout if won else Decimal("0.00")
        return Closing(_end(contract), price, "won" if won else "lost", last)

    def value(self, contract: Contract, market: Market, epoch: int) -> Decimal:
        """See `ContractFamily.value`: the remaining chance, less the margin."""
        order, spot = contract.order, market.tick(contract.order.symbol.name, epoch)
        entry = _entry(contract, market)
        barrier = _barrier(order, entry if entry.epoch <= epoch else spot)
        chance = _chance(order, spot.quote, barrier, _end(contract) - epoch)
        return down_to_cents(contract.quote.payout * bid_rate(chance))

    def resale_error(self, contract: Contract, market: Market, epoch: int) -> str | None:
        """See `ContractFamily.resale_error`."""
        if contract.order.ticks is not None:
            return "Resale of this contract is not offered."
        if epoch < _entry(contract, market).epoch:
            return "Waiting for entry tick."
        return None

    def describe(self, contract: Contract, market: Market, epoch: int) -> Message:
        """See `ContractFamily.describe`."""
        entry, order, end = _entry(contract, market), contract.order, _end(contract)
        described: Message = {"barrier_count": int(order.contract_type not in _WITHOUT_BARRIER)}
        if entry.epoch <= epoch:
            described |= entry_members(entry)
            if (barrier := _barrier_text(order, entry)) is not None:
                described["barrier"] = barrier
        if order.ticks is not None:
            stream = market.ticks(order.symbol.name, entry.epoch, min(epoch, end))
            described |= {
                "tick_count": order.ticks,
                "tick_stream": [
                    {"epoch": t.epoch, "tick": t.quote, "tick_display_value": display_price(t)}
                    for t in stream
                ],
            }
        return described


_WITHOUT_BARRIER = ("DIGITEVEN", "DIGITODD")


def _spot(order: ContractOrder, market: Market, epoch: int) -> MarketTick:
    require_open(market, order.symbol.name, epoch)
    _check_barrier(order)
    return market.tick(order.symbol.name, epoch)


def _expiry(order: ContractOrder, market: Market, start: int) -> int:
    """Return the epoch at which *order* ends if it is bought at *start*.

    Raises:
        Refusal: such a duration is not on offer.

    """
    if order.ticks is not None:
        if order.symbol.shares_epochs:
            raise not_offered(what="duration")
        if not 1 <= order.ticks <= MAX_TICKS:
            raise not_accepted(text=f"Number of ticks must be between 1 and {MAX_TICKS}.")
        end = start
        for _ in range(order.ticks + (order.contract_type not in DIGITS)):
            end = market.next_tick_epoch(order.symbol.name, end)
        return end
    if order.contract_type in DIGITS:
        raise not_offered(what="duration")
    end = order.end(start)
    if end <= start:
        raise not_accepted(text="Expiry time cannot be in the past.")
    if not MIN_SECONDS <= end - start <= 365 * DAY:
        raise not_offered(what="duration")
    if not market.is_open(order.symbol.name, end):
        raise not_accepted(text="Contract must expire during trading hours.")
    return end


def _end(contract: Contract) -> int:
    if contract.quote.expiry is None:
        raise AssertionError
    return contract.quote.expiry


def _entry(contract: Contract, market: Market) -> MarketTick:
    name = contract.order.symbol.name
    return market.tick(name, market.next_tick_epoch(name, contract.start))


def _check_barrier(order: ContractOrder) -> None:
    if order.barrier is None:
        return
    if order.contract_type in DIGITS:
        lowest, highest = _DIGIT_RANGE.get(order.contract_type, (0, 9))
        if not (order.barrier.isdecimal() and lowest <= int(order.barrier) <= highest):
            raise not_accepted(text=f"Barrier is not an integer between {lowest} to {highest}.")
        return
    decimals = order.symbol.decimals
    if len(order.barrier.partition(".")[2]) > decimals:
        text = f"Barrier can only be up to {decimals} decimal places."
        raise Refusal(code="BarrierValidationError", message=text)


_DIGIT_RANGE = {"DIGITOVER": (0, 8), "DIGITUNDER": (1, 9)}


def _barrier(order: ContractOrder, entry: MarketTick) -> float:
    """Return the barrier as a price, where *entry* is the entry spot."""
    text = order.barrier or "+0"
    price = entry.quote + float(text) if text[0] in "+-" else float(text)
    return round(price, order.symbol.decimals)


def _barrier_text(order: ContractOrder, entry: MarketTick) -> str | None:
    if order.contract_type in DIGITS:
        return order.barrier
    return f"{_barrier(order, entry):.{order.symbol.decimals}f}"


def _chance(order: ContractOrder, spot: float, barrier: float, seconds: int) -> float:
    if order.contract_type in DIGITS:
        return len(_winning_digits(order)) / 10
    above = chance_above(order.symbol, spot, barrier, seconds)
    return above if order.contract_type in ("CALL", "CALLE") else 1 - above


def _winning_digits(order: ContractOrder) -> list[int]:
    prediction = int(order.barrier or 0)
    return [
        digit
        for digit in range(10)
        if {
            "DIGITMATCH": digit == prediction,
            "DIGITDIFF": digit != prediction,
            "DIGITEVEN": digit % 2 == 0,
            "DIGITODD": digit % 2 == 1,
            "DIGITOVER": digit > prediction,
            "DIGITUNDER": digit < prediction,
        }[order.contract_type]
    ]


def _wins(order: ContractOrder, last: MarketTick, barrier: float) -> bool:
    if order.contract_type in DIGITS:
        return int(display_price(last)[-1]) in _winning_digits(order)
    return {
        "CALL": last.quote > barrier,
        "CALLE": last.quote >= barrier,
        "PUT": last.quote < barrier,
        "PUTE": last.quote <= barrier,
    }[order.contract_type]
