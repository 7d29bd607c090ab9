"""Multipliers: the change of a price, many times over.

A stake of 10 with a multiplier of 100 gains and loses what 1000 in the underlying would, less a
commission, and never more than the stake. The entry spot is the last tick at the purchase. The
contract has no end: it is sold, or closed by the first tick at which one of its limits is
reached, for what it is worth at that tick. The limit that it always has is the stop out, where
the stake is used up.

With deal cancellation, an insurance that is paid for on top of the stake, the stake comes back if
the contract is cancelled, or stopped out, in time. Its price is the loss that is to be expected
in that time, and a tenth. The commission is the only other thing that the house takes.
"""

from collections.abc import Iterator
from decimal import Decimal

from derivtrio.simulator.contracts.binaries import entry_of
from derivtrio.simulator.contracts.contract import Closing, Contract, Quote
from derivtrio.simulator.contracts.money import CENT, down_to_cents, exact, to_cents
from derivtrio.simulator.contracts.orders import (
    MIN_STAKE,
    ContractOrder,
    LimitOrder,
    check_stake,
    no_contract,
    refused,
)
from derivtrio.simulator.contracts.pricing import expected_fall
from derivtrio.simulator.market.hours import HOUR, MINUTE
from derivtrio.simulator.market.market import Market, MarketTick
from derivtrio.simulator.market.symbol_checks import require_open
from derivtrio.simulator.protocol.envelope import Message

#: The multipliers on offer.
OFFERED = (10, 20, 30, 50, 100)
_COMMISSION = Decimal("0.0005")
_INSURANCE = Decimal("1.1")
#: How many seconds of the future are looked at in one go.
_GLANCE = HOUR


class MultiplierFamily:
    """MULTUP and MULTDOWN."""

    def quote(self, order: ContractOrder, market: Market, epoch: int) -> Quote:
        """See `Kind.quote`."""
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
        """See `Kind.outlook`."""
        order, until = contract.order, since + _GLANCE
        reached = dict(_levels(order, contract.limit_order, contract.quote.spot))
        for tick in market.ticks(order.symbol.name, since + 1, until):
            for name, level in reached.items():
                if _is_reached(order, name, level, tick.quote):
                    return self._closing(contract, name, tick)
        return until

    def value(self, contract: Contract, market: Market, epoch: int) -> Decimal:
        """See `Kind.value`."""
        return _worth(contract, market.tick(contract.order.symbol.name, epoch))

    def resale_error(self, contract: Contract, market: Market, epoch: int) -> str | None:
        """See `Kind.resale_fault`: while the stake is insured, a loss need not be taken."""
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
        """See `Kind.describe`."""
        order, spot = contract.order, contract.quote.spot
        described = entry_of(spot) | {
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
        price = _worth(contract, tick)
        won = price > contract.buy_price
        return Closing(tick.epoch, price, "won" if won else "lost", tick)


def can_cancel(contract: Contract, epoch: int) -> bool:
    """Whether *contract* is open and insured at *epoch*."""
    insured = contract.order.cancellation
    return insured is not None and contract.is_open and epoch < contract.start + insured


def limit_order_payload(
    order: ContractOrder, limit_order: LimitOrder, spot: MarketTick, epoch: int
) -> Message:
    """Return the `limit_order` of a contract that was entered at *spot*, stop out included."""
    amounts = {
        "stop_out": -order.amount,
        "stop_loss": None if limit_order.stop_loss is None else -limit_order.stop_loss,
        "take_profit": limit_order.take_profit,
    }
    levels = dict(_levels(order, limit_order, spot))
    return {
        name: {
            "display_name": name.replace("_", " ").capitalize(),
            "display_order_amount": f"{amount:.2f}",
            "order_amount": amount,
            "order_date": epoch,
            "value": f"{levels[name]:.{spot.pip_size}f}",
        }
        for name, amount in amounts.items()
        if amount is not None
    }


def check_limit_order(order: ContractOrder, limit_order: LimitOrder) -> None:
    """Raise the `Refusal` of *limits* that an order with this stake cannot have."""
    if limit_order.stop_loss is not None and limit_order.stop_loss > order.amount:
        raise refused(text=f"Enter an amount equal to or lower than {order.amount:.2f}.")
    if order.cancellation is None:
        return
    for name, limit in (
        ("stop loss", limit_order.stop_loss),
        ("take profit", limit_order.take_profit),
    ):
        if limit is not None:
            raise refused(
                text=f"You may use either {name} or deal cancellation, but not both."
                " Please select either one."
            )


def _check(order: ContractOrder) -> None:
    if order.basis != "stake":
        raise no_contract(text="Basis must be stake for this contract.")
    check_stake(order.amount)
    if order.multiplier not in OFFERED:
        offered = ",".join(map(str, OFFERED))
        raise refused(text=f"Multiplier is not in acceptable range. Accepts {offered}.")
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


def _worth(contract: Contract, tick: MarketTick) -> Decimal:
    """Return what *contract* is worth at *tick*: its stake and its profit, never less than 0."""
    order, entry = contract.order, exact(contract.quote.spot.quote)
    move = (exact(tick.quote) - entry) / entry * _direction(order)
    return down_to_cents(
        max(Decimal(), order.amount + _notional(order) * move - _commission(order))
    )


def _direction(order: ContractOrder) -> int:
    return 1 if order.contract_type == "MULTUP" else -1


def _levels(
    order: ContractOrder, limit_order: LimitOrder, spot: MarketTick
) -> Iterator[tuple[str, float]]:
    """Yield the limits with the prices at which they are reached."""
    profits = {
        "stop_out": -order.amount,
        "stop_loss": None if limit_order.stop_loss is None else -limit_order.stop_loss,
        "take_profit": limit_order.take_profit,
    }
    for name, profit in profits.items():
        if profit is not None:
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
    insured = 0 if order.cancellation is None else f"{order.cancellation // MINUTE}m"
    head = f"{order.contract_type}_{order.symbol.name}_{order.amount:.2f}"
    limit_order = order.limit_order
    return f"{head}_{order.multiplier}_{start}_{insured}_{limit_order.take_profit or '0.00'}"
