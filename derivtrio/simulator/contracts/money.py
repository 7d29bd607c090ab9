"""Exact amounts of money, and how they are rounded. All currencies here have two decimals."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def exact(number: float | str | Decimal) -> Decimal:
    """Return *number* exactly as it is written: 0.1 is a tenth."""
    return Decimal(str(number))


def to_cents(amount: Decimal) -> Decimal:
    """Return *amount* rounded to the nearest cent."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def down_to_cents(amount: Decimal) -> Decimal:
    """Return *amount* rounded down to a cent, in favour of the broker."""
    return amount.quantize(CENT, ROUND_DOWN)


def in_words(currency: str, amount: Decimal) -> str:
    """Return *amount* as in Deriv's messages, such as `10.00 USD`."""
    return f"{amount:.2f} {currency}"
