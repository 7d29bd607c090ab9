"""derivtrio: the Deriv WebSocket API for trio.

async with derivtrio.open_client(app_id=1089) as client:
    async with client.ticks("R_100") as ticks:
        async for tick in ticks:
            print(tick.quote)
"""

from typing import TYPE_CHECKING, Any

from derivtrio.assembly import open_client
from derivtrio.calls.metrics import Metrics
from derivtrio.calls.status import State, Status
from derivtrio.client import Client
from derivtrio.concurrency.buffer import OverflowPolicy
from derivtrio.connection.endpoints import V3, Endpoint, Generation, OptionsPublic
from derivtrio.errors import (
    AccountDisabled,
    AlreadySubscribed,
    ApiError,
    Attempt,
    AuthorizationRequired,
    BrokenConnection,
    CertificateRejected,
    ClientClosed,
    ConnectionChanged,
    ConnectionFailed,
    ConnectionLost,
    ConnectRefused,
    ConnectTimeout,
    DerivError,
    EndpointFailed,
    HandshakeFailed,
    HandshakeRejected,
    HeartbeatMissed,
    InvalidAppID,
    InvalidRequest,
    InvalidToken,
    InvalidURL,
    LinkError,
    MarketClosed,
    MuteStream,
    NotContinuous,
    NotExecuted,
    OutcomeUnknown,
    PeerClosed,
    PermissionDenied,
    ProtocolViolation,
    ProxyFailed,
    RateLimited,
    ReconnectRequested,
    ResponseTimeout,
    RestoreTimeout,
    RestRejected,
    ServerBusy,
    SlowConsumer,
    StreamFailed,
)
from derivtrio.events import (
    Authorized,
    Closed,
    Connecting,
    Event,
    Failed,
    Filling,
    Gap,
    MessageReceived,
    MessageSent,
    Opened,
    Overflow,
    Ready,
    Stale,
    Throttled,
    Waiting,
)
from derivtrio.models import (
    Ambiguous,
    Balance,
    Bought,
    Candle,
    ClosedContract,
    Limits,
    Money,
    NotBought,
    NotSold,
    NotUpdated,
    OpenContract,
    Outcome,
    Position,
    Proposal,
    Purchase,
    Sale,
    Sold,
    Tick,
    Transaction,
    Updated,
)
from derivtrio.policy.pacer import Pacer
from derivtrio.policy.rate_limits import BudgetUse
from derivtrio.settings import Backoff, Settings
from derivtrio.signals import run
from derivtrio.streams.subscription import Subscription
from derivtrio.supervision.tokens import TokenSource

if TYPE_CHECKING:
    from derivtrio.connection.account import OptionsAccount

    __version__: str

__all__ = [
    "V3",
    "AccountDisabled",
    "AlreadySubscribed",
    "Ambiguous",
    "ApiError",
    "Attempt",
    "AuthorizationRequired",
    "Authorized",
    "Backoff",
    "Balance",
    "Bought",
    "BrokenConnection",
    "BudgetUse",
    "Candle",
    "CertificateRejected",
    "Client",
    "ClientClosed",
    "Closed",
    "ClosedContract",
    "ConnectRefused",
    "ConnectTimeout",
    "Connecting",
    "ConnectionChanged",
    "ConnectionFailed",
    "ConnectionLost",
    "DerivError",
    "Endpoint",
    "EndpointFailed",
    "Event",
    "Failed",
    "Filling",
    "Gap",
    "Generation",
    "HandshakeFailed",
    "HandshakeRejected",
    "HeartbeatMissed",
    "InvalidAppID",
    "InvalidRequest",
    "InvalidToken",
    "InvalidURL",
    "Limits",
    "LinkError",
    "MarketClosed",
    "MessageReceived",
    "MessageSent",
    "Metrics",
    "Money",
    "MuteStream",
    "NotBought",
    "NotContinuous",
    "NotExecuted",
    "NotSold",
    "NotUpdated",
    "OpenContract",
    "Opened",
    "OptionsAccount",
    "OptionsPublic",
    "Outcome",
    "OutcomeUnknown",
    "Overflow",
    "OverflowPolicy",
    "Pacer",
    "PeerClosed",
    "PermissionDenied",
    "Position",
    "Proposal",
    "ProtocolViolation",
    "ProxyFailed",
    "Purchase",
    "RateLimited",
    "Ready",
    "ReconnectRequested",
    "ResponseTimeout",
    "RestRejected",
    "RestoreTimeout",
    "Sale",
    "ServerBusy",
    "Settings",
    "SlowConsumer",
    "Sold",
    "Stale",
    "State",
    "Status",
    "StreamFailed",
    "Subscription",
    "Throttled",
    "Tick",
    "TokenSource",
    "Transaction",
    "Updated",
    "Waiting",
    "open_client",
    "run",
]


if not TYPE_CHECKING:  # it would have type checkers believe in any name

    def __getattr__(name: str) -> Any:
        """Load what few programs need when they name it: an account's endpoint, the version."""
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 - is rarely needed

            return version("derivtrio")
        if name != "OptionsAccount":
            text = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(text, name=name)
        from importlib import import_module  # noqa: PLC0415 - is rarely needed

        options = import_module("derivtrio.connection.account")
        return options.OptionsAccount

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, "__version__"})
