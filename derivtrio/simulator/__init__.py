"""A Deriv server to run beside a client: for demonstrations, lessons and tests.

`open_simulator` is the way in. The market is a pure function of a seed, time is trio's, and
everything that goes wrong on a network can be made to happen.
"""

from derivtrio.simulator.accounts import DEMO_TOKEN, SCOPES, Account, demo_account
from derivtrio.simulator.books import Ledger, Transaction
from derivtrio.simulator.budgets import Limits, Quota
from derivtrio.simulator.connection import Connection
from derivtrio.simulator.contracts import Closing, Contract
from derivtrio.simulator.faults import Faults
from derivtrio.simulator.market import Candle, Market, Tick
from derivtrio.simulator.record import ConnectionRecord, Ending
from derivtrio.simulator.schedule import ScheduledFault, parse_fault, random_faults
from derivtrio.simulator.server import MemoryEndpoint, Simulator, open_simulator
from derivtrio.simulator.subscriptions import Stream

__all__ = [
    "DEMO_TOKEN",
    "SCOPES",
    "Account",
    "Candle",
    "Closing",
    "Connection",
    "ConnectionRecord",
    "Contract",
    "Ending",
    "Faults",
    "Ledger",
    "Limits",
    "Market",
    "MemoryEndpoint",
    "Quota",
    "ScheduledFault",
    "Simulator",
    "Stream",
    "Tick",
    "Transaction",
    "demo_account",
    "open_simulator",
    "parse_fault",
    "random_faults",
]
