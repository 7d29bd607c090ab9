"""What is in the site, and in which order: pages of the repository, and groups of public names."""

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]
GUIDE: Final = ROOT / "examples" / "guide"
LESSONS: Final = ROOT / "examples" / "lessons"


@attrs.frozen
class Names:
    """A page of the reference: public names of a module, in one group.

    Attributes:
        page: the page's file name, without its ending.
        title: what the page is called.
        about: one or two sentences in Markdown, which stand before the names.
        module: the module that has the names.
        names: the names that come first, in the order of the page.
        drawing: a module whose docstring stands there, too; empty if none.
        rest: whether all other names of the module follow that no page has.

    """

    page: str
    title: str
    about: str
    module: str = "derivtrio"
    names: tuple[str, ...] = ()
    drawing: str = ""
    rest: bool = True


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


REFERENCE: Final = (
    Names(
        "client",
        "Client and streams",
        "`open_client` makes a `Client`; its streams are `Subscription`s.",
        names=_names("open_client Client Subscription OverflowPolicy run State Status Metrics"),
    ),
    Names(
        "settings",
        "Settings",
        "How a client behaves. Durations are in seconds.",
        names=_names("Settings Backoff Pacer"),
        rest=False,
    ),
    Names(
        "endpoints",
        "Endpoints and tokens",
        "Where a client connects, and for which account.",
        names=_names("Endpoint V3 OptionsPublic OptionsAccount Generation TokenSource"),
        rest=False,
    ),
    Names(
        "models",
        "Models",
        "What typed streams carry, and what trading returns. Epochs are in seconds.",
        names=_names(
            "Tick Candle Balance Transaction Proposal OpenContract Purchase Sale Limits Position"
            " ClosedContract Money"
        ),
        rest=False,
    ),
    Names(
        "outcomes",
        "Outcomes of orders",
        "What `Client.reconcile` finds out about an order whose reply was lost.",
        names=_names("Outcome Bought NotBought Sold NotSold Updated NotUpdated Ambiguous"),
        rest=False,
    ),
    Names(
        "events",
        "Events",
        "What `Client.events` tells. Each has its `time`, in seconds since the epoch.",
        names=_names(
            "Event Connecting Opened Authorized Ready Failed Closed Waiting Stale Gap Overflow"
            " Throttled MessageReceived MessageSent"
        ),
        rest=False,
    ),
    Names(
        "errors",
        "Errors",
        "A program catches the class that says enough.",
        drawing="derivtrio.errors",
        names=_names(
            "DerivError ApiError AccountDisabled AlreadySubscribed AuthorizationRequired"
            " InvalidAppID InvalidRequest InvalidToken MarketClosed PermissionDenied RateLimited"
            " ServerBusy ConnectionLost OutcomeUnknown NotExecuted StreamFailed BrokenConnection"
            " ResponseTimeout ConnectionChanged NotContinuous SlowConsumer ClientClosed"
            " ConnectionFailed Attempt InvalidURL LinkError ConnectTimeout ConnectRefused"
            " CertificateRejected EndpointFailed HandshakeFailed HandshakeRejected RestRejected"
            " ProxyFailed PeerClosed HeartbeatMissed MuteStream ReconnectRequested"
            " ProtocolViolation RestoreTimeout"
        ),
        rest=False,
    ),
    Names(
        "api",
        "Calls by name",
        "`client.api` has each of Deriv's calls as a method.",
        "derivtrio.api",
        names=("Api",),
        rest=False,
    ),
    Names(
        "recording",
        "Recording",
        "What a client gets, kept in a file or a database.",
        "derivtrio.recording",
        _names(
            "record open_store in_thread Store BlockingStore StoreError StoreBusy StoreRewound"
            " MissingExtra Unreadable Table TABLES TICKS CANDLES GAPS TRANSACTIONS BALANCES"
            " CONTRACTS Batch Row"
        ),
    ),
    Names(
        "simulator",
        "Simulator",
        "A Deriv server for tests and demonstrations.",
        "derivtrio.simulator",
        _names(
            "open_simulator Simulator Faults parse_fault random_faults ScheduledFault Market Tick"
            " Candle Account demo_account DEMO_TOKEN SCOPES Ledger Transaction Contract Closing"
            " Limits Quota Connection Stream ConnectionRecord Ending MemoryEndpoint"
            " open_ending_server EndingName"
        ),
    ),
    Names(
        "trace",
        "Time lines",
        "Pictures of a run.",
        "derivtrio.trace",
        _names("timeline serve Timeline Outage outages_of mermaid"),
    ),
)


def names_of(group: Names) -> list[str]:
    """Return the names that stand on the page *group*."""
    if not group.rest:
        return list(group.names)
    shown = {name for page in REFERENCE if page.module == group.module for name in page.names}
    every = importlib.import_module(group.module).__all__
    return [*group.names, *(name for name in every if name not in shown)]


@cache
def public_names() -> frozenset[str]:
    """Return the names that have an entry somewhere in the reference."""
    return frozenset(name for group in REFERENCE for name in names_of(group))


def linked(index: Path, pattern: str) -> list[Path]:
    """Return the Markdown files that *index* links to by *pattern*, in its order, each once."""
    found = re.findall(rf"\]\(({pattern})\)", index.read_text(encoding="utf-8"))
    return [index.parent / target for target in dict.fromkeys(found)]


def pages() -> dict[str, list[Path]]:
    """Return the Markdown files of the site, by the part they belong to."""
    return {
        "": [ROOT / "README.md"],
        "Guide": [GUIDE / "README.md", *linked(GUIDE / "README.md", r"[\w-]+\.md")],
        "Lessons": [LESSONS / "README.md", *linked(LESSONS / "README.md", r"\w+/README\.md")],
        "The project": [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"],
    }
