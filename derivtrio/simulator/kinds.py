"""Which family a type of contract belongs to."""

from derivtrio.simulator.accumulators import Accumulator
from derivtrio.simulator.binaries import Binary
from derivtrio.simulator.contracts import Kind
from derivtrio.simulator.multipliers import Multiplier
from derivtrio.simulator.orders import ACCUMULATORS, DIGITS, MULTIPLIERS, RISE_FALL

#: The family of each type that can be bought.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(RISE_FALL + DIGITS, Binary()),
    **dict.fromkeys(MULTIPLIERS, Multiplier()),
    **dict.fromkeys(ACCUMULATORS, Accumulator()),
}
