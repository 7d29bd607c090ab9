"""Spot prices in messages: a number, a text with all decimals, and an epoch."""

from derivtrio.simulator.market.market import MarketTick
from derivtrio.simulator.protocol.envelope import Message


def display_price(tick: MarketTick) -> str:
    """Return the price of *tick* with all its decimals."""
    return f"{tick.quote:.{tick.pip_size}f}"


def entry_members(tick: MarketTick) -> Message:
    """Return the members of `proposal_open_contract` about *tick* as the entry spot."""
    return {
        "entry_spot": tick.quote,
        "entry_spot_display_value": display_price(tick),
        "entry_tick": tick.quote,
        "entry_tick_display_value": display_price(tick),
        "entry_tick_time": tick.epoch,
    }
