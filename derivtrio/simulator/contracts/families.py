"""Which family a type of contract belongs to."""

from derivtrio.simulator.contracts.accumulators import Accumulator
from derivtrio.simulator.contracts.binaries import Binary
from derivtrio.simulator.contracts.contract import Kind
from derivtrio.simulator.contracts.multipliers import Multiplier
from derivtrio.simulator.contracts.orders import ACCUMULATORS, DIGITS, MULTIPLIERS, RISE_FALL

#: The family of each type that can be bought.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(RISE_FALL + DIGITS, Binary()),
    **dict.fromkeys(MULTIPLIERS, Multiplier()),
    **dict.fromkeys(ACCUMULATORS, Accumulator()),
}
