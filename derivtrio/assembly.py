"""`open_client`, and how the parts of a client are put together.

The parts know only those below them. Where one has to call upwards, it is given a function here:
`Session.reauthorize`, `TradeLog.used`, `TradeLog.streamed`, `Registry.watch`.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import trio

from derivtrio.calls.doubts import TradeLog
from derivtrio.calls.other_clients import other_clients
from derivtrio.calls.queue import SendQueue
from derivtrio.calls.routing import Router
from derivtrio.calls.session import Session, on_new_client
from derivtrio.calls.status import EventBus
from derivtrio.client import Client
from derivtrio.concurrency.background import running
from derivtrio.concurrency.home import require_trio
from derivtrio.connection.endpoints import Endpoint, as_endpoint, generation_of
from derivtrio.policy.pacer import Pacer
from derivtrio.policy.rate_limits import Budgets
from derivtrio.settings import Settings
from derivtrio.streams.registry import Registry
from derivtrio.supervision.authorization import Authorization, Identity
from derivtrio.supervision.lifetime import Lifetime
from derivtrio.supervision.supervisor import Supervisor
from derivtrio.supervision.tokens import TokenSource, checked_for
from derivtrio.wording import shown

_DEFAULTS: Final = Settings()


@asynccontextmanager
@trio.lowlevel.enable_ki_protection
async def open_client(
    app_id: int | str = 1089,
    *,
    endpoint: Endpoint | str | None = None,
    token: TokenSource | None = None,
    settings: Settings = _DEFAULTS,
    pacer: Pacer | None = None,
    name: str | None = None,
) -> AsyncGenerator[Client]:
    """Open a client; yield it when its first connection is ready; close it at the block's end.

    `endpoint` is a WebSocket URL, an `Endpoint`, or None for the v3 API with *app_id*; for the
    Options API it is `OptionsPublic()` or `OptionsAccount(account_id, app_id, token)`.

    `token` authorizes every new connection on v3: a str; several of them, the first being for the
    account that is meant where a request has no `loginid`; or an async function, which is asked for
    a token each time, and once more if the server finds that one invalid.

    *name* tells this client from others in the same process: it stands in the log records (in front
    of the text, and as the field `client`), in events (`client`), in `Client.metrics` and in the
    names of the client's tasks.

    Clients with the same *pacer* keep within the server's rate limits together; otherwise each has
    its own.

    What the block raises comes out as it is. If the client fails for good meanwhile, the block is
    cancelled and `ConnectionFailed` comes out; if both, the block's exception wins and has the
    other as its context.

    It has a nursery inside. So an async generator must not yield in its block.

    *Cancellation*: reaches the block first and the client after it: a call made in a `finally` of
    the block, under a shield, still works. The goodbye takes `Settings.close_timeout` at most.

    Raises:
        ConnectionFailed: after `Settings.max_attempts`, or when the client failed for good.
        DerivError: the cause itself, where the block had not begun and the first connection is
            refused for good (`ApiError`, `HandshakeRejected`, `RestRejected`,
            `CertificateRejected`, `ProxyFailed`, `EndpointFailed`, `PeerClosed`, `InvalidURL`).
        ValueError, TypeError: an argument that makes no sense, such as a `token` on the Options
            API, where the endpoint has it.
        RuntimeError: not under trio, but under asyncio, for example.

    """
    require_trio()
    client, lifetime = _assembled(as_endpoint(endpoint, app_id), token, settings, pacer, name)
    task_name = f"derivtrio.reconnect{lifetime.supervisor.session.label}"
    tasks = lifetime.tasks
    async with running(lifetime.serve, stop=lifetime.stop, name=task_name, inside=tasks):
        with lifetime.body:
            try:
                if settings.wait_ready:
                    await client.wait_ready()
                lifetime.entered = True
                yield client
            except BaseException as error:
                lifetime.add_context(error)
                raise
            finally:
                with trio.CancelScope(shield=True):
                    await client.aclose()
    lifetime.raise_failure()


def _assembled(
    endpoint: Endpoint,
    token: TokenSource | None,
    settings: Settings,
    pacer: Pacer | None,
    name: str | None,
) -> tuple[Client, Lifetime]:
    """Put the parts of a client together, from the bottom up; return it and its lifetime."""
    if not isinstance(settings, Settings):
        text = f"settings is a derivtrio.Settings, not {type(settings).__name__}"
        raise TypeError(text)
    if name is not None and (not isinstance(name, str) or not name):
        text = f"name is a str that is not empty, or None, not {shown(name)}"
        raise ValueError(text)
    bus, router = EventBus(name), Router()
    queue = SendQueue(settings.outbox, _budgets(settings, pacer, endpoint), bus.announce)
    authorization = Authorization(endpoint, Identity(checked_for(endpoint, token)))
    trades = TradeLog(authorization.whose, others=other_clients(endpoint))
    session = Session(settings, generation_of(endpoint), queue, router, bus, trades)
    session.reauthorize = partial(authorization.reauthorize, session=session)
    registry = Registry(session)
    trades.used, trades.streamed = registry.replace_proposal, registry.request_of
    if (watch := on_new_client.get()) is not None:
        watch(session, registry)
    if settings.stale_after is not None:
        from derivtrio.streams.staleness import Staleness  # noqa: PLC0415 - not needed to import us

        registry.watch = Staleness(session, registry).watch
    supervisor = Supervisor(session, authorization, registry)
    lifetime = Lifetime(supervisor)
    return Client(session, supervisor, lifetime), lifetime


def _budgets(settings: Settings, pacer: Pacer | None, endpoint: Endpoint) -> Budgets:
    """Return what the client may send."""
    if pacer is not None and not isinstance(pacer, Pacer):
        text = f"pacer is a derivtrio.Pacer or None, not {type(pacer).__name__}"
        raise TypeError(text)
    if not settings.pacing:
        if pacer is not None:
            text = "a pacer is of no use with Settings(pacing=False)"
            raise ValueError(text)
        return Budgets()
    advertised = getattr(endpoint, "limits", "website_status") == "website_status"
    pacer = pacer or Pacer()
    _bring_here(pacer)
    return pacer.budgets(generation_of(endpoint), advertised=advertised)


def _bring_here(pacer: Pacer) -> None:
    """Let *pacer* serve the present `trio.run`, unless it serves another that goes on."""
    run, former = require_trio(), pacer.run
    if run is former:
        return
    if isinstance(former, trio.lowlevel.TrioToken):
        with suppress(trio.RunFinishedError):
            former.run_sync_soon(bool)
            text = "a pacer serves one trio.run at a time, and another one goes on that has this"
            raise RuntimeError(text)
    pacer.run = run
    pacer.keep_time_by(trio.lowlevel.current_clock().current_time)
