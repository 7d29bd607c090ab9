"""A Deriv server to run beside a client: for demonstrations, lessons and tests.

`open_simulator` starts it. The market is a pure function of a seed, the time is trio's, and
everything that goes wrong on a network can be made to happen. `open_ending_server` is a plain
server whose connections end in one given way.

The folders, from the top floor to the lowest; each imports only what stands below it:

- `server`: tasks, sockets and time; `open_simulator`
- `calls`: the calls of the API, from a request to its messages
- `sessions`: the state of each connection, its streams, the rate limits
- `faults`: what can go wrong, and when
- `accounts`: ledgers, and the broker, which makes every change of money
- `contracts`: what can be bought, its price, and how it ends
- `market`: prices
- `dialects`: the two generations of the API
- `protocol`: the messages of v3: their envelope, the calls, the checks of requests
- `network`: bytes, HTTP and WebSocket, without anything of Deriv

To follow one request, read `server.simulator`, `server.acceptor`, `server.connection`,
`calls.dispatch` and `calls.prices`. To follow one contract, read `calls.trading`,
`accounts.broker` and `contracts.binaries`. To see where prices come from, read `market.market`.

A class here has a name that no class of the client has. Seven public names are shorter: `Tick`,
`Candle`, `Ledger`, `Transaction`, `Limits`, `Connection` and `Stream` stand for `MarketTick`,
`MarketCandle`, `AccountLedger`, `LedgerEntry`, `RateLimits`, `ServerConnection`, `ActiveStream`.
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
from derivtrio.simulator.server.endings import EndingName, open_ending_server
from derivtrio.simulator.server.memory_endpoint import MemoryEndpoint
from derivtrio.simulator.server.simulator import Simulator, open_simulator
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
    "EndingName",
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
    "open_ending_server",
    "open_simulator",
    "parse_fault",
    "random_faults",
]
