"""Accumulators: the stake grows with every tick that stays within a band.

1. The entry spot is the first tick after the purchase.
2. A later tick within the band around the tick before it lets the stake grow by the growth rate.
3. The first tick outside ends the contract with nothing.
4. The contract is closed at its take profit, at the largest payout, or after a number of ticks.

The margin: the width of the band makes the expected growth of each tick -0.1 %. Accumulators are
offered on symbols without jumps, steps and drift, and with at most one tick a second.
"""

from collections.abc import Iterator
from decimal import Decimal

from derivtrio.simulator.contracts.contract import Closing, Contract, Quote
from derivtrio.simulator.contracts.money import down_to_cents
from derivtrio.simulator.contracts.orders import (
    MIN_STAKE,
    ContractOrder,
    LimitOrder,
    check_stake,
    not_a_contract,
    not_accepted,
    not_offered,
)
from derivtrio.simulator.contracts.pricing import band
from derivtrio.simulator.contracts.spots import entry_members
from derivtrio.simulator.market.hours import ALWAYS
from derivtrio.simulator.market.market import Market, MarketTick
from derivtrio.simulator.market.symbol_checks import require_open
from derivtrio.simulator.market.symbols import Symbol
from derivtrio.simulator.protocol.envelope import Message

_MARGIN = 0.001
_MAX_PAYOUT = Decimal("10000.00")
#: The growth rates on offer, with the largest number of ticks.
MAX_TICKS = {
    Decimal("0.01"): 230,
    Decimal("0.02"): 120,
    Decimal("0.03"): 80,
    Decimal("0.04"): 60,
    Decimal("0.05"): 45,
}


class AccumulatorFamily:
    """The contract type `ACCU`."""

    def quote(self, order: ContractOrder, market: Market, epoch: int) -> Quote:
        """See `ContractFamily.quote`."""
        require_open(market, order.symbol.name, epoch)
        _check(order)
        spot, width = market.tick(order.symbol.name, epoch), _width(order)
        high, low = _barriers(spot, width)
        return Quote(
            order=order,
            epoch=epoch,
            spot=spot,
            ask=order.amount,
            payout=Decimal("0.00"),
            expiry=None,
            longcode=_longcode(order, width),
            shortcode=_shortcode(order, width, epoch),
            details={
                "contract_details": {
                    "high_barrier": high,
                    "low_barrier": low,
                    "maximum_payout": _MAX_PAYOUT,
                    "maximum_ticks": _most_ticks(order),
                    "tick_size_barrier": round(width, 8),
                    "tick_size_barrier_percentage": f"{width:.5%}",
                },
                "validation_params": {
                    "max_payout": str(_MAX_PAYOUT),
                    "max_ticks": _most_ticks(order),
                    "stake": {"min": str(MIN_STAKE)},
                },
            },
        )

    def find_closing(self, contract: Contract, market: Market, since: int) -> Closing:
        """See `ContractFamily.find_closing`; the number of ticks bounds the search."""
        order, target = contract.order, _target(contract.order, contract.limit_order)
        for count, tick, stays in _run(contract, market):
            if not stays:
                return Closing(tick.epoch, Decimal("0.00"), "lost", tick)
            value = _value_at(order, count)
            # A take profit that was set at *since* looks at later ticks only.
            if tick.epoch > since and (value >= target or count == _most_ticks(order)):
                return Closing(tick.epoch, min(value, _MAX_PAYOUT), "won", tick)
        raise AssertionError

    def value(self, contract: Contract, market: Market, epoch: int) -> Decimal:
        """See `ContractFamily.value`."""
        return _value_at(contract.order, _count(contract, market, epoch))

    def resale_error(self, contract: Contract, market: Market, epoch: int) -> str | None:
        """See `ContractFamily.resale_error`."""
        if _count(contract, market, epoch) < 1:
            return "Contract cannot be sold at entry tick. Please wait for the next tick."
        return None

    def describe(self, contract: Contract, market: Market, epoch: int) -> Message:
        """See `ContractFamily.describe`; the barriers are those of the next tick."""
        order, count = contract.order, _count(contract, market, epoch)
        described: Message = {"barrier_count": 2, "growth_rate": order.growth_rate}
        described["tick_passed"] = max(0, count)
        if limit_order := limit_order_payload(contract.limit_order, contract.start):
            described["limit_order"] = limit_order
        if count >= 0:
            ticks = _ticks(contract, market, epoch)
            high, low = _barriers(ticks[-1], _width(order))
            described |= entry_members(ticks[0]) | {"high_barrier": high, "low_barrier": low}
            described |= {"current_spot_high_barrier": high, "current_spot_low_barrier": low}
        return described


def limit_order_payload(limit_order: LimitOrder, epoch: int) -> Message:
    """Return the `limit_order` of a contract; without a take profit it is empty."""
    if limit_order.take_profit is None:
        return {}
    return {
        "take_profit": {
            "display_name": "Take profit",
            "display_order_amount": f"{limit_order.take_profit:.2f}",
            "order_amount": limit_order.take_profit,
            "order_date": epoch,
        }
    }


def check_limit_order(limit_order: LimitOrder) -> None:
    """Raise the `Refusal` if an accumulator does not accept *limit_order*."""
    if limit_order.stop_loss is not None:
        raise not_a_contract(text="Invalid input (stop_loss) for this contract type (ACCU).")


def is_offered(symbol: Symbol) -> bool:
    """Whether accumulators are offered on *symbol*."""
    uneven = symbol.step or symbol.jumps or symbol.daily_drift or symbol.shares_epochs
    return symbol.hours == ALWAYS and not uneven


def _check(order: ContractOrder) -> None:
    if not is_offered(order.symbol):
        raise not_offered(what="asset")
    if order.basis != "stake":
        raise not_a_contract(text="Basis must be stake for this contract.")
    check_stake(order.amount)
    if order.growth_rate not in MAX_TICKS:
        offered = ", ".join(map(str, MAX_TICKS))
        raise not_accepted(text=f"Growth rate is not in acceptable range. Accepts {offered}.")
    check_limit_order(order.limit_order)


def _rate(order: ContractOrder) -> Decimal:
    return order.growth_rate or Decimal()


def _most_ticks(order: ContractOrder) -> int:
    return MAX_TICKS[_rate(order)]


def _width(order: ContractOrder) -> float:
    """Return the half width of the band, as a share of the price before."""
    return band(order.symbol, (1 - _MARGIN) / (1 + float(_rate(order))))


def _barriers(tick: MarketTick, width: float) -> tuple[str, str]:
    distance, decimals = tick.quote * width, tick.pip_size + 1
    return f"{tick.quote + distance:.{decimals}f}", f"{tick.quote - distance:.{decimals}f}"


def _value_at(order: ContractOrder, count: int) -> Decimal:
    return down_to_cents(order.amount * (1 + _rate(order)) ** max(0, count))


def _target(order: ContractOrder, limit_order: LimitOrder) -> Decimal:
    """Return the value at which the contract is closed."""
    if limit_order.take_profit is None:
        return _MAX_PAYOUT
    return min(_MAX_PAYOUT, order.amount + limit_order.take_profit)


def _run(contract: Contract, market: Market) -> Iterator[tuple[int, MarketTick, bool]]:
    """Yield each tick after the entry spot: its number, the tick, whether it is in the band."""
    name, width = contract.order.symbol.name, _width(contract.order)
    before = market.tick(name, market.next_tick_epoch(name, contract.start))
    for count in range(1, _most_ticks(contract.order) + 1):
        tick = market.tick(name, market.next_tick_epoch(name, before.epoch))
        yield count, tick, abs(tick.quote - before.quote) <= before.quote * width
        before = tick


def _ticks(contract: Contract, market: Market, epoch: int) -> list[MarketTick]:
    name = contract.order.symbol.name
    return market.ticks(name, market.next_tick_epoch(name, contract.start), epoch)


def _count(contract: Contract, market: Market, epoch: int) -> int:
    """Return the number of ticks after the entry spot; -1 before the entry spot."""
    return len(_ticks(contract, market, epoch)) - 1


def _longcode(order: ContractOrder, width: float) -> str:
    return (
        f"After the entry spot tick, your stake will grow continuously by {_rate(order):.0%} for"
        f" every tick that the spot price remains within the ± {width:.5%} from the previous spot"
        " price."
    )


def _shortcode(order: ContractOrder, width: float, start: int) -> str:
    head = f"{order.contract_type}_{order.symbol.name.upper()}_{order.amount:.2f}"
    return f"{head}_0_{_rate(order)}_1_{width:.12f}_{start}"
