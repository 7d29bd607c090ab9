"""Multipliers: the stake gains and loses a multiple of the price change.

1. A stake of 10 with a multiplier of 100 gains and loses as much as 1000 in the underlying, less a
   commission. It never loses more than the stake.
2. The entry spot is the last tick at the purchase.
3. The contract has no expiry. It is sold, or closed by the first tick that reaches a limit, for its
   value at that tick. Every contract has the limit `stop_out`, at which the stake is lost.
4. Deal cancellation is an insurance, paid on top of the stake: if the contract is cancelled or
   stopped out in time, the stake is paid back.

The broker earns the commission, and a tenth of the insurance: its price is 1.1 times the expected
loss.
"""

from collections.abc import Iterator
from decimal import Decimal

from derivtrio.simulator.contracts.contract import Closing, Contract, Quote
from derivtrio.simulator.contracts.money import CENT, down_to_cents, exact, to_cents
from derivtrio.simulator.contracts.orders import (
    MIN_STAKE,
    ContractOrder,
    LimitOrder,
    check_stake,
    not_a_contract,
    not_accepted,
)
from derivtrio.simulator.contracts.pricing import expected_fall
from derivtrio.simulator.contracts.spots import entry_members
from derivtrio.simulator.market.hours import DAY, HOUR, MINUTE
from derivtrio.simulator.market.market import Market, MarketTick
from derivtrio.simulator.market.symbol_checks import require_open
from derivtrio.simulator.protocol.envelope import Message

#: The multipliers on offer.
OFFERED = (10, 20, 30, 50, 100)
_COMMISSION = Decimal("0.0005")
_INSURANCE = Decimal("1.1")
#: How far `find_closing` looks ahead in one call, in seconds.
_LOOK_AHEAD = HOUR
#: The days in the shortcode, the first one included.
_LIFE = 36501


class MultiplierFamily:
    """The contract types `MULTUP` and `MULTDOWN`."""

    def quote(self, order: ContractOrder, market: Market, epoch: int) -> Quote:
        """See `ContractFamily.quote`."""
        require_open(market, order.symbol.name, epoch)
        _check(order)
        spot, insurance = market.tick(order.symbol.name, epoch), _insurance(order)
        details: Message = {
            "commission": _commission(order),
            "contract_details": {"minimum_stake": str(MIN_STAKE)},
            "limit_order": limit_order_payload(order, order.limit_order, spot, epoch),
            "multiplier": order.multiplier,
            "validation_params": {"stake": {"min": str(MIN_STAKE)}},
        }
        if order.cancellation is not None:
            expiry = epoch + order.cancellation
            details["cancellation"] = {"ask_price": insurance, "date_expiry": expiry}
        return Quote(
            order=order,
            epoch=epoch,
            spot=spot,
            ask=order.amount + insurance,
            payout=Decimal("0.00"),
            expiry=None,
            longcode=_longcode(order),
            shortcode=_shortcode(order, epoch),
            details=details,
        )

    def find_closing(self, contract: Contract, market: Market, since: int) -> Closing | int:
        """See `ContractFamily.find_closing`."""
        order, until = contract.order, since + _LOOK_AHEAD
        reached = dict(_levels(order, contract.limit_order, contract.quote.spot))
        for tick in market.ticks(order.symbol.name, since + 1, until):
            for name, level in reached.items():
                if _is_reached(order, name, level, tick.quote):
                    return self._closing(contract, name, tick)
        return until

    def value(self, contract: Contract, market: Market, epoch: int) -> Decimal:
        """See `ContractFamily.value`."""
        return _value_at(contract, market.tick(contract.order.symbol.name, epoch))

    def resale_error(self, contract: Contract, market: Market, epoch: int) -> str | None:
        """See `ContractFamily.resale_error`: an insured contract is not sold at a loss."""
        if (
            can_cancel(contract, epoch)
            and self.value(contract, market, epoch) < contract.order.amount
        ):
            return (
                "The spot price has moved. We have not closed this contract because your profit is"
                " negative and deal cancellation is active. Cancel your contract to get your full"
                " stake back."
            )
        return None

    def describe(self, contract: Contract, market: Market, epoch: int) -> Message:  # noqa: ARG002
        """See `ContractFamily.describe`."""
        order, spot = contract.order, contract.quote.spot
        described = entry_members(spot) | {
            "barrier_count": 1,
            "commission": _commission(order),
            "limit_order": limit_order_payload(order, contract.limit_order, spot, contract.start),
            "multiplier": order.multiplier,
        }
        if "cancellation" in contract.quote.details:
            described["cancellation"] = contract.quote.details["cancellation"]
        return described

    def _closing(self, contract: Contract, limit: str, tick: MarketTick) -> Closing:
        if limit == "stop_out" and can_cancel(contract, tick.epoch):
            return Closing(tick.epoch, contract.order.amount, "cancelled", tick)
        price = _value_at(contract, tick)
        won = price > contract.buy_price
        return Closing(tick.epoch, price, "won" if won else "lost", tick)


def can_cancel(contract: Contract, epoch: int) -> bool:
    """Whether *contract* is open and insured at *epoch*."""
    insured = contract.order.cancellation
    return insured is not None and contract.is_open and epoch < contract.start + insured


def limit_order_payload(
    order: ContractOrder, limit_order: LimitOrder, spot: MarketTick, epoch: int
) -> Message:
    """Return the `limit_order` of a contract with the entry spot *spot*, stop out included."""
    levels = dict(_levels(order, limit_order, spot))
    return {
        name: {
            "display_name": name.replace("_", " ").capitalize(),
            "display_order_amount": f"{amount:.2f}",
            "order_amount": amount,
            "order_date": epoch,
            "value": f"{levels[name]:.{spot.pip_size}f}",
        }
        for name, amount in _profits(order, limit_order)
    }


def check_limit_order(order: ContractOrder, limit_order: LimitOrder) -> None:
    """Raise the `Refusal` if *order* does not accept *limit_order*."""
    if limit_order.stop_loss is not None and limit_order.stop_loss > order.amount:
        raise not_accepted(text=f"Enter an amount equal to or lower than {order.amount:.2f}.")
    if order.cancellation is None:
        return
    for name, limit in (
        ("stop loss", limit_order.stop_loss),
        ("take profit", limit_order.take_profit),
    ):
        if limit is not None:
            raise not_accepted(
                text=f"You may use either {name} or deal cancellation, but not both."
                " Please select either one."
            )


def _check(order: ContractOrder) -> None:
    if order.basis != "stake":
        raise not_a_contract(text="Basis must be stake for this contract.")
    check_stake(order.amount)
    if order.multiplier not in OFFERED:
        offered = ",".join(map(str, OFFERED))
        raise not_accepted(text=f"Multiplier is not in acceptable range. Accepts {offered}.")
    check_limit_order(order, order.limit_order)


def _notional(order: ContractOrder) -> Decimal:
    return order.amount * (order.multiplier or 0)


def _commission(order: ContractOrder) -> Decimal:
    return to_cents(_notional(order) * _COMMISSION)


def _insurance(order: ContractOrder) -> Decimal:
    if order.cancellation is None:
        return Decimal("0.00")
    fall = exact(expected_fall(order.symbol, order.cancellation))
    return max(CENT, to_cents(_notional(order) * fall * _INSURANCE))


def _value_at(contract: Contract, tick: MarketTick) -> Decimal:
    """Return the value of *contract* at *tick*: stake and profit, at least 0."""
    order, entry = contract.order, exact(contract.quote.spot.quote)
    move = (exact(tick.quote) - entry) / entry * _direction(order)
    return down_to_cents(
        max(Decimal(), order.amount + _notional(order) * move - _commission(order))
    )


def _direction(order: ContractOrder) -> int:
    return 1 if order.contract_type == "MULTUP" else -1


def _profits(order: ContractOrder, limit_order: LimitOrder) -> Iterator[tuple[str, Decimal]]:
    """Yield the name of each limit, and the profit at which it is reached; a loss is negative."""
    yield "stop_out", -order.amount
    if limit_order.stop_loss is not None:
        yield "stop_loss", -limit_order.stop_loss
    if limit_order.take_profit is not None:
        yield "take_profit", limit_order.take_profit


def _levels(
    order: ContractOrder, limit_order: LimitOrder, spot: MarketTick
) -> Iterator[tuple[str, float]]:
    """Yield the name of each limit, and the price at which it is reached."""
    for name, profit in _profits(order, limit_order):
        move = float((profit + _commission(order)) / _notional(order)) * _direction(order)
        yield name, spot.quote * (1 + move)


def _is_reached(order: ContractOrder, limit: str, level: float, price: float) -> bool:
    upwards = (limit == "take_profit") == (_direction(order) > 0)
    return price >= level if upwards else price <= level


def _longcode(order: ContractOrder) -> str:
    verb = "rises" if order.contract_type == "MULTUP" else "falls"
    return (
        f"If {order.symbol.display_name} {verb}, your profit is its percentage change"
        f" times {order.multiplier} times your stake, less commission."
    )


def _shortcode(order: ContractOrder, start: int) -> str:
    """Return the code of *order*; in Deriv's codes a multiplier ends after a hundred years."""
    insured = 0 if order.cancellation is None else f"{order.cancellation // MINUTE}m"
    head = f"{order.contract_type}_{order.symbol.name.upper()}_{order.amount:.2f}"
    end, take_profit = (start // DAY + _LIFE) * DAY - 1, order.limit_order.take_profit
    return f"{head}_{order.multiplier}_{start}_{end}_{insured}_{take_profit or '0.00'}_N1"
