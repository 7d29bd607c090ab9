"""The drill of networks: a client and a server on two machines, and a cable between them.

The machines are network namespaces (see `namespaces`: this needs root), so it is the kernel's own
TCP that meets a cable that is out, a firewall, another address. While a consumer follows ticks and
a program makes calls, one disaster after another happens. Each must be found within
`heartbeat_interval + heartbeat_timeout`, on the real clock. While it lasts the client goes on
trying. When it has ended, the ticks must go on without a hole, and nothing may be left open.
"""

import argparse
import logging
import math
import random
import ssl
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import trio
import trustme

from derivtrio import (
    Backoff,
    Client,
    Closed,
    DerivError,
    Failed,
    Settings,
    open_client,
)
from tests.drills.namespaces import (
    CARD,
    CLIENT,
    OTHER_CLIENT,
    SERVER,
    Commands,
    Network,
    missing,
    open_network,
)
from tests.drills.server import open_server
from tests.drills.witness import Witness, tick_row, tick_witness

SYMBOL: Final = "1HZ100V"

#: A small reply, and one of some 10 kB, which takes several packets.
_QUESTIONS: Final = ({"time": 1}, {"ticks_history": SYMBOL, "end": "latest", "count": 400})

#: For how long ticks may stay away after a disaster, in seconds; then the drill has failed.
_PATIENCE: Final = 60

#: The exit status where there can be no network namespaces.
IMPOSSIBLE: Final = 2

_OPEN_FILES: Final = Path("/proc/self/fd")


@attrs.frozen
class Incident:
    """A disaster: what brings it about, and what ends it. `{port}` is the connection's port here.

    *kills* is whether no connection can outlive it.
    """

    begin: Commands
    end: Commands = ()
    kills: bool = True


def _filtered(*rules: str, kills: bool = True) -> Incident:
    """Return an incident of firewall rules, each with its end in front."""
    split = [rule.split(" ", 1) for rule in rules]
    return Incident(
        [(end, f"nft add rule inet drill {rule}") for end, rule in split],  # type: ignore[misc]
        [(end, "nft flush table inet drill") for end in ("client", "server")],
        kills,
    )


def _moved(old: str, new: str) -> Incident:
    """Return a change of the client's address, which lasts."""
    return Incident(
        [
            ("client", f"ip address delete {old}/24 dev {CARD}"),
            ("client", f"ip address add {new}/24 dev {CARD}"),
        ]
    )


def _card(end: str) -> Incident:
    """Return an outage of the network card at *end*."""
    return Incident(
        [(end, f"ip link set {CARD} down")],  # type: ignore[list-item]
        [(end, f"ip link set {CARD} up")],  # type: ignore[list-item]
    )


#: What can happen to a network, in this order.
INCIDENTS: Final[Mapping[str, Incident]] = {
    "link down": _card("client"),
    "link down at the server": _card("server"),
    "black hole both ways": _filtered("client input drop", "client output drop"),
    "black hole to the server": _filtered("server input drop"),
    "black hole from the server": _filtered("client input drop"),
    "another address": _moved(CLIENT, OTHER_CLIENT),
    "the first address again": _moved(OTHER_CLIENT, CLIENT),
    "connection forgotten by a router": _filtered("client input tcp dport {port} drop"),
    "reset": _filtered("server input meta l4proto tcp reject with tcp reset"),
    "host unreachable": _filtered("client output reject with icmp type host-unreachable"),
    "large packets lost": _filtered("client input meta length > 700 drop"),
    "30 % of the packets lost": _filtered(
        "client input numgen random mod 100 < 30 drop",
        "server input numgen random mod 100 < 30 drop",
        kills=False,
    ),
}

#: The same by the kernel's own means, which not every kernel has.
_LOSS_BY_NETEM: Final = Incident(
    [
        ("client", f"tc qdisc add dev {CARD} root netem loss 30%"),
        ("server", f"tc qdisc add dev {CARD} root netem loss 30%"),
    ],
    [("client", f"tc qdisc del dev {CARD} root"), ("server", f"tc qdisc del dev {CARD} root")],
    kills=False,
)


@attrs.frozen
class Plan:
    """What happens, and how fast. Durations are in seconds.

    *interval* is the `heartbeat_interval`; the `heartbeat_timeout` is half of it. A disaster may be
    found *slack* later than they say, because this machine has other things to do. It goes on for
    *hold* after that. *rate* is market seconds in a real second.
    """

    incidents: tuple[str, ...] = tuple(INCIDENTS)
    seed: int = 1
    rate: float = 1
    interval: float = 2
    slack: float = 0.5
    hold: float = 3
    tls: bool = True
    fast: bool = True

    @property
    def settings(self) -> Settings:
        """The client's settings: each patience in proportion to *interval*."""
        return Settings(
            connect_timeout=self.interval / 2,
            restore_timeout=self.interval,
            close_timeout=self.interval / 4,
            heartbeat_interval=self.interval,
            heartbeat_timeout=self.interval / 2,
            response_timeout=self.interval,
            backoff=Backoff(first=self.interval / 20, cap=self.interval / 4),
            pacing=False,
            fast=self.fast,
        )

    @property
    def pause(self) -> float:
        """How long the program waits between two calls."""
        return self.interval / 20

    @property
    def allowed(self) -> float:
        """How long it may take to find a disaster."""
        settings = self.settings
        return settings.heartbeat_interval + settings.heartbeat_timeout + self.pause + self.slack


@attrs.frozen
class Outcome:
    """What came of an incident.

    *found* is how long after its beginning the client noticed it, if it did, and *by* how the
    connection ended. *back* is how long after its end the consumer had the newest tick. *left* is
    how many files are open more than before it.
    """

    name: str
    found: float | None
    by: str
    back: float | None
    left: int

    def remarks(self, allowed: float) -> list[str]:
        """Return what is not as it should be."""
        remarks = []
        if self.found is None and INCIDENTS[self.name].kills:
            remarks.append(f"{self.name}: never found")
        if self.found is not None and INCIDENTS[self.name].kills and self.found > allowed:
            remarks.append(f"{self.name}: found after {self.found:.2f} s, not within {allowed:g} s")
        if self.back is None:
            remarks.append(f"{self.name}: no ticks for {_PATIENCE} s after it")
        if self.left:
            remarks.append(f"{self.name}: {self.left} files are left open")
        return remarks

    def __str__(self) -> str:
        found = f"found after {self.found:.2f} s ({self.by})" if self.found else "outlived"
        back = "never" if self.back is None else f"after {self.back:.2f} s"
        return f"{self.name + ':':34}{found:32}ticks again {back}"


@attrs.define(eq=False)
class Drill:
    """One run of the drill, with its results so far."""

    plan: Plan
    network: Network
    client: Client
    witness: Witness
    outcomes: list[Outcome] = attrs.field(factory=list, init=False)
    calls: Counter[str] = attrs.field(factory=Counter, init=False)
    gaps: int = attrs.field(default=0, init=False)
    left: int = attrs.field(default=0, init=False)
    _end: trio.Event = attrs.field(factory=trio.Event, init=False)
    _by: str = attrs.field(default="", init=False)
    _tick: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def passed(self) -> bool:
        """Whether everything was found in time, and nothing was lost or left open."""
        return not self.remarks

    @property
    def remarks(self) -> list[str]:
        """What is not as it should be, in words."""
        allowed = self.plan.allowed
        remarks = [text for outcome in self.outcomes for text in outcome.remarks(allowed)]
        if len(self.outcomes) != len(self.plan.incidents) or not self.witness.seen:
            remarks.append("the drill came to no end")
        if self.gaps:
            remarks.append(f"{self.gaps} gaps, although the server has every tick")
        if self.left:
            remarks.append(f"{self.left} files are open after the client's end")
        return remarks + self.witness.remarks

    async def run(self) -> None:
        """Let one incident happen after another."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._follow_ticks)
            nursery.start_soon(self._follow_events)
            nursery.start_soon(self._call)
            for name in self.plan.incidents:
                if not await self._suffer(name):
                    break
            nursery.cancel_scope.cancel()

    async def _suffer(self, name: str) -> bool:
        """Let an incident happen to a connection that is well; return whether there is hope."""
        incident = INCIDENTS[name]
        if self.network.has_netem and not incident.kills:
            incident = _LOSS_BY_NETEM
        await self._well()
        files, port, self._end, self._by = _open_files(), _port_in_use(), trio.Event(), ""
        await self._do([(end, text.format(port=port)) for end, text in incident.begin])
        begun, found = trio.current_time(), None
        with trio.move_on_after(2 * self.plan.allowed if incident.kills else self.plan.hold):
            await self._end.wait()
            found = trio.current_time() - begun
        await trio.sleep(self.plan.hold)
        await self._do(incident.end)
        ended, back = trio.current_time(), None
        with trio.move_on_after(_PATIENCE):
            await self._well()
            back = trio.current_time() - ended
        left = _open_files() - files
        self.outcomes.append(Outcome(name, found, self._by if found else "", back, left))
        return back is not None

    async def _well(self) -> None:
        """Wait until the consumer has the tick of the second in which this began."""
        now = math.inf
        while math.isinf(now):
            try:
                now = (await self.client.call({"time": 1}))["time"]
            except DerivError:
                await trio.sleep(self.plan.pause)
        while (self.witness.last or 0) < now:
            await self._tick.wait()

    async def _do(self, commands: Commands) -> None:
        await trio.to_thread.run_sync(self.network.do, commands)

    async def _follow_ticks(self, task_status: trio.TaskStatus[None]) -> None:
        async with self.client.ticks(SYMBOL) as ticks:
            task_status.started()
            async for tick in ticks:
                self.witness.note(tick_row(tick))
                self.gaps = len(ticks.gaps)
                self._tick.set()
                self._tick = trio.Event()

    async def _follow_events(self) -> None:
        async with self.client.events() as events:
            async for event in events:
                if isinstance(event, Failed):
                    self._end.set()
                elif isinstance(event, Closed) and not self._by:
                    self._by = event.by

    async def _call(self) -> None:
        """Make calls, one at a time."""
        while True:
            for question in _QUESTIONS:
                try:
                    await self.client.call(question)
                    self.calls["answered"] += 1
                except DerivError as error:
                    self.calls[type(error).__name__] += 1
                await trio.sleep(self.plan.pause)


def _open_files() -> int:
    return sum(1 for _ in _OPEN_FILES.iterdir())


def _port_in_use() -> int:
    """Return the local port of the newest connection that is established."""
    rows = [row.split() for row in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    ports = [int(row[1].partition(":")[2], 16) for row in rows if row[3] == "01" and row[9] != "0"]
    return ports[-1]


async def run(plan: Plan, network: Network) -> Drill:
    """Run the drill; this thread is at the client's end of *network*."""
    random.seed(plan.seed)  # the client's backoff draws from there
    files, witness = _open_files(), tick_witness("ticks", plan.seed, SYMBOL)
    with tempfile.TemporaryDirectory() as folder:
        pem, settings = "", plan.settings
        if plan.tls:
            pem, context = _certificate(folder)
            settings = settings.but(ssl_context=context)
        async with open_server(
            plan.seed, plan.rate, SERVER, pem=pem, inside=network.inside("server")
        ) as port:
            url = f"ws{'s' * plan.tls}://{SERVER}:{port}/websockets/v3"
            async with open_client(endpoint=url, settings=settings) as client:
                drill = Drill(plan, network, client, witness)
                await drill.run()
    drill.left = _open_files() - files
    return drill


def _certificate(folder: str) -> tuple[str, ssl.SSLContext]:
    """Return a file with the server's key and certificate, and what trusts it."""
    authority, context = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(context)
    path = Path(folder, "server.pem")
    authority.issue_cert(SERVER).private_key_and_cert_chain_pem.write_to_path(path)
    return str(path), context


def summary(drill: Drill) -> str:
    """Return the results, on one screen."""
    plan, calls = drill.plan, drill.calls.copy()
    answered, netem = calls.pop("answered"), drill.network.has_netem
    return "\n".join(
        [
            f"{len(drill.outcomes)} incidents over {'wss' if plan.tls else 'ws'}, seed {plan.seed}",
            f"each has to be found within {plan.allowed:g} s",
            f"packets are lost by {'netem' if netem else 'nftables (this kernel has no netem)'}",
            *(str(outcome) for outcome in drill.outcomes),
            f"calls: {answered} answered, "
            + ", ".join(f"{count} {name}" for name, count in calls.most_common()),
            str(drill.witness),
            f"gaps: {drill.gaps}; files left open: {drill.left}",
            *drill.remarks,
            "PASSED" if drill.passed else "FAILED",
        ]
    )


def perform(plan: Plan) -> Drill:
    """Make the machines, and run the drill on them."""
    with open_network() as network, network.entered("client"):
        return trio.run(run, plan, network)


def main() -> None:
    """Run the drill from the command line; exit with 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.network", description=__doc__)
    parser.add_argument("--incident", action="append", choices=INCIDENTS, help="only this one")
    parser.add_argument("--interval", type=float, default=2, help="heartbeat_interval (2 s)")
    parser.add_argument("--slack", type=float, default=0.5, help="what this machine may add, in s")
    parser.add_argument(
        "--hold", type=float, default=3, help="how long it goes on once found (3 s)"
    )
    parser.add_argument("--rate", type=float, default=1, help="market seconds in a real second (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tcp", action="store_true", help="without TLS")
    parser.add_argument("--plain", action="store_true", help="receive every frame through wsproto")
    parser.add_argument("--log", action="store_true", help="show what the client logs")
    given = parser.parse_args()
    if text := missing():
        sys.stdout.write(f"This drill cannot run here: {text}.\n")
        sys.exit(IMPOSSIBLE)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("derivtrio").setLevel("INFO" if given.log else "CRITICAL")
    drill = perform(
        Plan(
            tuple(given.incident or INCIDENTS),
            given.seed,
            given.rate,
            given.interval,
            given.slack,
            given.hold,
            tls=not given.tcp,
            fast=not given.plain,
        )
    )
    sys.stdout.write(summary(drill) + "\n")
    sys.exit(not drill.passed)


if __name__ == "__main__":
    main()
