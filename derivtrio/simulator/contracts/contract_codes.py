"""The longcode and the shortcode of rise/fall and digit contracts, as Deriv writes them."""

from decimal import Decimal

from derivtrio.simulator.contracts.orders import DIGITS, ContractOrder
from derivtrio.simulator.market.hours import DAY, HOUR, MINUTE

_UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1, "second"))


def longcode(order: ContractOrder, epoch: int) -> str:
    """Return the sentence that describes *order*, bought at *epoch*."""
    name, ticks = order.symbol.display_name, _counted(order.ticks or 0, "tick")
    if order.contract_type in DIGITS:
        outcome = _DIGIT_TEXTS[order.contract_type].format(order.barrier)
        return f"Win payout if the last digit of {name} is {outcome} after {ticks}."
    level = f"{_COMPARISONS[order.contract_type]} {_level(order)}"
    if order.ticks is not None:
        return f"Win payout if {name} after {ticks} is {level}."
    duration = _duration_text(order.end(epoch) - epoch)
    return f"Win payout if {name} is {level} at {duration} after contract start time."


_COMPARISONS = {
    "CALL": "strictly higher than",
    "CALLE": "higher than or equal to",
    "PUT": "strictly lower than",
    "PUTE": "lower than or equal to",
}

_DIGIT_TEXTS = {
    "DIGITMATCH": "{}",
    "DIGITDIFF": "not {}",
    "DIGITEVEN": "even",
    "DIGITODD": "odd",
    "DIGITOVER": "strictly higher than {}",
    "DIGITUNDER": "strictly lower than {}",
}


def _level(order: ContractOrder) -> str:
    text = order.barrier or "+0"
    if text[0] not in "+-":
        return text
    offset = float(text)
    if not offset:
        return "entry spot"
    return f"entry spot {'plus' if offset > 0 else 'minus'} {abs(offset):.{order.symbol.decimals}f}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _duration_text(seconds: int) -> str:
    parts = []
    for size, noun in _UNITS:
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(_counted(number, noun))
    return " ".join(parts)


def shortcode(order: ContractOrder, payout: Decimal, start: int, expiry: int) -> str:
    """Return the code of *order*: its type, symbol, payout, start, end and barriers.

    Deriv marks an end that was given as `date_expiry` with an `F`, and a number of ticks with a
    `T`. (An `F` at the start marks a contract that starts later; there are none here.)
    """
    end = f"{order.ticks}T" if order.ticks is not None else f"{expiry}{'F' * bool(order.expiry)}"
    return "_".join(
        [
            order.contract_type,
            order.symbol.name.upper(),
            f"{payout:.2f}",
            str(start),
            end,
            _short_barrier(order),
            "0",
        ]
    )


def _short_barrier(order: ContractOrder) -> str:
    """Return the barrier as in a shortcode: `S30P` is 30 pips above the entry spot."""
    text = order.barrier or "+0"
    if order.contract_type in DIGITS:
        return text.lstrip("+")
    if text[0] in "+-":
        return f"S{round(float(text) * 10**order.symbol.decimals)}P"
    return str(round(float(text) * 10**6))
