"""Notice a stream that should speak and does not, and repair it.

The connection may be well and one stream on it mute: the server has forgotten it, or lost track.
One task looks at all streams every few seconds. It costs a tick nothing: an upstream notes when
its newest message came, and `Watched` compares that with what it saw at the last look.

1. A stream that has said nothing for `Settings.stale_after` is *checked*: the server is asked what
   it has (`probes`). Streams are checked one after another, with a pause in between, and all other
   requests go first. So a thousand mute streams are no storm.
2. What the server sent before its answer has been read by then, because it came first. If the
   server is ahead all the same, and the stream is silent for a moment longer, it is mute. The
   moment is there because a tick may enter the history before it enters the stream.
3. A mute stream is announced (`Stale`) and asked for again. What it has missed is then filled, as
   after any interruption.
4. If that does not help twice, or if many streams are mute at once, the connection is replaced:
   once for a stream that says nothing after that either, and never twice in ten minutes. One bad
   stream must not cost the others their connection again and again. It is then asked for again
   every ten minutes.
5. If the server is not ahead, there is no fault. A stream of prices that has been silent for a
   minute together with its market is checked again after ten minutes: the market may be closed.
   An account can change at any time, so its streams are checked again after `stale_after`.

Whether a stream is mute has nothing to do with its consumers: what waits in their buffers has come.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import trio

from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls.call import api_call
from derivtrio.calls.request import make_call
from derivtrio.calls.session import Session
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.errors import ApiError, DerivError, MuteStream
from derivtrio.events import Stale
from derivtrio.policy.rate_limits import Urgency
from derivtrio.streams.probes import Probe, needs_state, probe_for
from derivtrio.streams.registry import Registry
from derivtrio.streams.upstream import Upstream

#: How often the streams are looked at within `stale_after`, and the longest time between two looks.
_LOOKS: Final = 12
_LONGEST: Final = 5.0

#: The pause between two checks, and how long a stream that is behind may take; in seconds. With a
#: short `stale_after`, a quarter of that.
_PAUSE: Final = 2.0

#: After how long a silence a stream whose market says nothing either is checked less often, and how
#: often then; in seconds.
_QUIET: Final = 60.0
_SELDOM: Final = 600.0

#: How often a mute stream is asked for again before the connection is replaced.
_RENEWALS: Final = 2

#: How many streams are mute at once when the connection is at fault.
_MANY: Final = 5


class Watched:
    """One stream, or one symbol of a stream of several, and what was seen of it.

    `wall` is when its newest message came; `quiet_mono` is when that was noticed, and `due_mono`
    when it is checked next, on trio's clock. `renewals` counts how often it was asked for again
    without a message after the first reply; `awaits_reply` says that the next message is that
    reply. `state` is what the server last said of its own state. `is_behind` says that this was
    more than the stream has said (rule 2), `replaced` that its connection was replaced (rule 4).
    """

    def __init__(self, upstream: Upstream, part: str | None, connection: int | None) -> None:
        self.upstream, self.part, self.connection = upstream, part, connection
        self.wall: float | None = None
        self.quiet_mono = self.due_mono = trio.current_time()
        self.renewals = 0
        self.awaits_reply = self.is_behind = self.replaced = False
        self.state: Any = None

    def note(self, wall: float | None, connection: int | None, stale_after: float) -> None:
        """Note that its newest message came at *wall*."""
        if connection != self.connection:
            self.connection, self.state, self.is_behind = connection, None, False
            self.renewals, self.awaits_reply = 0, True
        if wall in (None, self.wall):
            return
        now = trio.current_time()
        first, self.wall = self.wall is None, wall
        self.quiet_mono, self.is_behind = now, False
        if self.awaits_reply or first:
            self.awaits_reply = False
            self.due_mono = max(self.due_mono, now + stale_after)
            if needs_state(self.upstream.request or {}, self.newest):
                self.due_mono = now
        else:
            self.renewals, self.replaced = 0, False
            self.due_mono = now + stale_after

    @property
    def newest(self) -> dict[str, Any]:
        """Its newest message."""
        parts = self.upstream.parts
        if not parts:
            return self.upstream.latest_message() or {}
        if self.part is None:
            return next(iter(parts.values()))[1]
        return parts[self.part][1] if self.part in parts else {}

    @property
    def is_answered(self) -> bool:
        """Whether the server has granted it on this connection."""
        # The stream of all open contracts may have no id.
        return bool(self.upstream.ids) or self.upstream.is_family

    @property
    def probe(self) -> Probe | None:
        """What to ask the server about it."""
        return probe_for(self.upstream.request or {}, self.newest, self.part)


class Staleness:
    """Watches the streams of one client."""

    def __init__(self, session: Session, registry: Registry) -> None:
        self._session, self._registry = session, registry
        self._stale_after = session.settings.stale_after or math.inf
        self._pause = min(_PAUSE, self._stale_after / 4)
        self._watched: dict[tuple[Upstream, str | None], Watched] = {}
        self._replaced_mono = -math.inf

    async def watch(self) -> None:
        """Look at the streams again and again; check those that are silent, one at a time.

        It returns when there are no streams any more.
        """
        between_looks = min(_LONGEST, self._stale_after / _LOOKS)
        while self._registry:
            silent = self._longest_silent()
            if silent is not None:
                await self._check(silent)
            await trio.sleep(between_looks if silent is None else self._pause)

    def _longest_silent(self) -> Watched | None:
        """Look at all streams; return the one to check: one that is behind, or longest overdue."""
        if not self._session.is_ready:
            return None
        connection, now = self._session.state.connection, trio.current_time()
        seen, self._watched = self._watched, {}
        for upstream in self._registry:
            if upstream.over:  # its last consumer did not keep up, and has not left yet
                continue
            for part, wall in _parts_of(upstream):
                watched = seen.get((upstream, part)) or Watched(upstream, part, connection)
                watched.note(wall, connection, self._stale_after)
                self._watched[upstream, part] = watched
        due = (
            watched
            for watched in self._watched.values()
            if watched.due_mono <= now and (watched.is_answered or watched.renewals)
        )
        return min(due, key=lambda watched: (not watched.is_behind, watched.due_mono), default=None)

    async def _check(self, watched: Watched) -> None:
        """Ask the server about a silent stream; or repair it, if that has been done."""
        now, probe = trio.current_time(), watched.probe
        if probe is None:
            watched.due_mono = math.inf
        elif watched.is_behind or not watched.is_answered:
            if self._note_mute(watched, probe):
                await self._renew(watched.upstream)
        else:
            watched.due_mono = now + self._stale_after  # whatever comes of the question
            call = api_call(probe.question, only_on=watched.connection, urgency=Urgency.RESTORATION)
            try:
                reply = await make_call(call, self._session)
                self._judge(watched, probe, reply)
            except (ApiError, *UNREADABLE):
                watched.due_mono = trio.current_time() + max(_SELDOM, self._stale_after)
            except DerivError:
                pass  # no answer: another part of the client sees to that

    def _judge(self, watched: Watched, probe: Probe, reply: dict[str, Any]) -> None:
        """Note a stream that is behind; else say when it is checked next."""
        now, before = trio.current_time(), watched.state
        state = watched.state = probe.state_in(reply)
        if probe.is_behind(state, before):
            watched.is_behind, watched.due_mono = True, now + self._pause
        elif not probe.about_account:
            silence = now - watched.quiet_mono
            pause = _SELDOM if silence >= _QUIET else silence
            watched.due_mono = now + max(pause, self._stale_after)

    def _note_mute(self, watched: Watched, probe: Probe) -> bool:
        """Announce a mute stream; replace the connection, or return whether to ask for it again."""
        now = trio.current_time()
        watched.is_behind = False
        self._session.bus.announce(Stale(probe.stream, watched.wall or self._session.state.since))
        mute = sum(each.renewals > 0 for each in self._watched.values())
        exhausted = watched.replaced or watched.renewals >= _RENEWALS or mute >= _MANY
        if exhausted and probe.trusted and not watched.replaced and self._may_replace(now):
            self._replace(probe)
            return False
        watched.due_mono = now + (_SELDOM if exhausted else self._stale_after)
        if watched.renewals and not probe.trusted:
            watched.due_mono = math.inf  # its answers are not comparable
            return False
        watched.renewals += 1
        watched.awaits_reply = True
        return watched.is_answered  # otherwise it is being asked for already

    async def _renew(self, upstream: Upstream) -> None:
        """Ask for *upstream* again."""
        if not upstream.is_family:
            upstream.renew()
            return
        with suppress(DerivError):
            await self._registry.contracts.clear_now()

    def _may_replace(self, now: float) -> bool:
        return now >= self._replaced_mono + _SELDOM

    def _replace(self, probe: Probe) -> None:
        """Replace the connection; those that are mute after that do not have it replaced again."""
        self._replaced_mono = trio.current_time()
        for each in self._watched.values():
            each.replaced = each.replaced or each.renewals > 0
        connection = self._session.usable_connection
        if connection is not None:
            text = f"{probe.stream} is mute, and asking for it again did not help"
            connection.lose(Disconnect("us", NORMAL, error=MuteStream(text)))


def _parts_of(upstream: Upstream) -> Iterator[tuple[str | None, float | None]]:
    """Yield what is watched of *upstream*, and when the newest message of each came."""
    symbols = (upstream.request or {}).get("ticks")
    parts = upstream.parts or {}
    if isinstance(symbols, list | tuple):
        for symbol in dict.fromkeys(map(str, symbols)):
            yield symbol, parts[symbol][0] if symbol in parts else None
    elif parts:  # of all open contracts the one that was silent longest
        yield None, next(iter(parts.values()))[0]
    else:
        yield None, upstream.last_wall
