"""Which family a type of contract belongs to."""

from derivtrio.simulator.contracts.accumulators import AccumulatorFamily
from derivtrio.simulator.contracts.binaries import BinaryFamily
from derivtrio.simulator.contracts.contract import ContractFamily
from derivtrio.simulator.contracts.multipliers import MultiplierFamily
from derivtrio.simulator.contracts.orders import ACCUMULATORS, DIGITS, MULTIPLIERS, RISE_FALL

#: The family of each type that can be bought.
FAMILIES: dict[str, ContractFamily] = {
    **dict.fromkeys(RISE_FALL + DIGITS, BinaryFamily()),
    **dict.fromkeys(MULTIPLIERS, MultiplierFamily()),
    **dict.fromkeys(ACCUMULATORS, AccumulatorFamily()),
}
