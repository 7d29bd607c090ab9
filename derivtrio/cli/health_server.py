"""The health page: `/healthz` and `/metrics` over HTTP, for probes and for Prometheus.

`derivtrio.web` speaks HTTP. Probes use whatever name they know this machine by, so any will do.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Final

import h11

from derivtrio.cli.health import Health
from derivtrio.cli.prometheus import CONTENT_TYPE, exposition
from derivtrio.recording.store import MissingExtra
from derivtrio.web import Page, WebServer


def healthz(health: Health) -> Page:
    """Return 200 if all is well, otherwise 503; the body says why, as JSON."""
    report = health.report()
    body = json.dumps(report).encode() + b"\n"
    return Page(200 if report["healthy"] else 503, body, "application/json")


def metrics(health: Health) -> Page:
    """Return the metrics as Prometheus reads them; 501 without the extra that it needs."""
    try:
        return Page(200, exposition(health), CONTENT_TYPE)
    except MissingExtra as error:
        return Page(501, f"{error}\n".encode())


_PAGES: Final[dict[bytes, Callable[[Health], Page]]] = {b"/healthz": healthz, b"/metrics": metrics}


def page_for(health: Health, request: h11.Request) -> Page:
    """Return the answer to *request*."""
    make = _PAGES.get(request.target.partition(b"?")[0])
    return Page(404, b"/healthz and /metrics\n") if make is None else make(health)


def health_server(health: Health) -> WebServer:
    """Return the server that answers visitors with the state of *health*."""
    return WebServer(partial(page_for, health))
