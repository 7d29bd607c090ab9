"""A Deriv server to run beside a client: for demonstrations, lessons and tests.

`open_simulator` is the way in. The market is a pure function of a seed, time is trio's, and
everything that goes wrong on a network can be made to happen.
"""

from derivtrio.simulator.accounts.account import DEMO_TOKEN, SCOPES, Account, demo_account
from derivtrio.simulator.accounts.ledger import AccountLedger as Ledger
from derivtrio.simulator.accounts.ledger import LedgerEntry as Transaction
from derivtrio.simulator.contracts.contract import Closing, Contract
from derivtrio.simulator.faults.faults import Faults
from derivtrio.simulator.faults.schedule import ScheduledFault, parse_fault, random_faults
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.market.market import MarketCandle as Candle
from derivtrio.simulator.market.market import MarketTick as Tick
from derivtrio.simulator.server.connection import ServerConnection as Connection
from derivtrio.simulator.server.connection_record import ConnectionRecord, Ending
from derivtrio.simulator.server.simulator import MemoryEndpoint, Simulator, open_simulator
from derivtrio.simulator.sessions.rate_limits import Quota
from derivtrio.simulator.sessions.rate_limits import RateLimits as Limits
from derivtrio.simulator.sessions.streams import ActiveStream as Stream

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
