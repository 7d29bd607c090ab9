"""Several addresses of one name: TCP to the one that can be expected to work.

`trio.open_tcp_stream` tries one address after the other until TCP is open. That is not enough. A
machine, or something in front of it, can accept TCP and then say nothing, or refuse the handshake;
TCP is always open there, so every attempt would begin there again. What has to succeed is the whole
handshake, and only the next attempt can go elsewhere: a one-time URL that was sent is used up. So
the addresses are remembered from attempt to attempt:

1. An address is *unproven* from the moment it is tried until a handshake over it has succeeded.
2. The addresses that are not unproven come first, in the resolver's order, but with the second of
   another family (RFC 6555, section 5.4). Then come the unproven; the one tried last comes last.
3. The next address is tried when the one before it has failed, or is not open within 250 ms ("happy
   eyeballs", as `trio.open_tcp_stream` has it); 1 s, if the next one is unproven. The first to be
   open wins.

A name is looked up in a thread, which cannot be cancelled: a resolver that hangs keeps it. So there
are only a few such threads for one name, and they are not taken from those of the program. If all
hang, one more is begun after a minute, the next after two, then four: a resolver that works again
is noticed, though no thread comes back, and a month of silence costs 15 threads more.
"""

import socket
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from itertools import zip_longest
from typing import Any, Final

import attrs
import trio

from derivtrio.connection.forks import not_for_children
from derivtrio.policy.newest import shorten

#: How long to wait for an address before the next one is tried as well, in seconds.
_PATIENCE: Final = 0.25
_PATIENCE_FOR_UNPROVEN: Final = 1.0

#: How many addresses are remembered: a name may have others each time it is looked up.
_MOST_UNPROVEN: Final = 64

#: How many threads may look up one name at a time; and how long they may all hang before there is
#: one more, in seconds, which doubles each time.
_MOST_LOOKUPS: Final = 8
_FIRST_WAIT: Final = 60.0

#: One result of `getaddrinfo`: family, type, protocol, name, address.
Target = tuple[Any, Any, int, str, tuple[Any, ...]]


@attrs.define(eq=False, repr=False)
class _Lookups:
    """What bounds the look-ups of one name."""

    limiter: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(_MOST_LOOKUPS), init=False
    )
    _wait: float = attrs.field(default=_FIRST_WAIT, init=False)
    _more_at: float = attrs.field(default=0.0, init=False)

    def admit(self) -> None:
        """Note that there is to be a look-up; allow one more if all have hung for long."""
        now = trio.current_time()
        if self.limiter.available_tokens:
            self._more_at = now + self._wait
        elif now >= self._more_at:
            self.limiter.total_tokens += 1
            self._wait *= 2
            self._more_at = now + self._wait


#: The look-ups of each name, while there are any.
_lookups: trio.lowlevel.RunVar[dict[str, _Lookups]] = trio.lowlevel.RunVar("look-ups of names")


async def look_up(host: str, port: int) -> list[Target]:
    """Return what `getaddrinfo` has for *host*, as `trio.socket.getaddrinfo` does.

    *Cancellation*: leaves the thread to itself.

    Raises:
        OSError: *host* is not known.

    """
    kind = trio.socket.SOCK_STREAM
    if _is_numeric(host) or not host.isascii() or _has_resolver():
        return await trio.socket.getaddrinfo(host, port, type=kind)
    try:
        present = _lookups.get()
    except LookupError:
        _lookups.set(present := {})
    for name in [name for name, each in present.items() if not each.limiter.borrowed_tokens]:
        del present[name]
    lookups = present.setdefault(host, _Lookups())
    lookups.admit()
    ask = partial(socket.getaddrinfo, host, port, type=kind)
    return await trio.to_thread.run_sync(ask, abandon_on_cancel=True, limiter=lookups.limiter)


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _has_resolver() -> bool:
    """Return whether this run of trio has a resolver of the program's own."""
    resolver = trio.socket.set_custom_hostname_resolver(None)
    trio.socket.set_custom_hostname_resolver(resolver)
    return resolver is not None


@attrs.define(eq=False, repr=False)
class Addresses:
    """What is known of the addresses that one client has connected to."""

    _unproven: dict[tuple[Any, ...], None] = attrs.field(factory=dict, init=False)
    _used: dict[tuple[Any, ...], None] = attrs.field(factory=dict, init=False)

    async def open_tcp(self, host: str, port: int) -> trio.SocketStream:
        """Return a TCP stream to *host*, on whichever address is open first.

        *Cancellation*: closes what was opened.

        Raises:
            OSError: *host* is not known, or none of its addresses can be connected to.

        """
        found = await look_up(host, port)
        race = _Race(self)
        try:
            await race.run(self.in_order(found))
        except BaseException:
            race.abandon()
            raise
        if race.winner is None:
            text = f"no address of {host} can be connected to"
            if not race.errors:
                raise OSError(text)
            raise OSError(text) from ExceptionGroup(text, race.errors)
        return trio.SocketStream(race.winner)

    async def choose(self, host: str, port: int) -> str:
        """Return the address of *host* to try, where somebody else connects to it.

        Raises:
            OSError: *host* is not known.

        """
        found = await look_up(host, port)
        target = next(iter(self.in_order(found)), None)
        if target is None:
            text = f"no address of {host}"
            raise OSError(text)
        self.note_tried(target)
        self.note_open(target)
        return str(target[4][0])

    def in_order(self, found: list[Target]) -> list[Target]:
        """Return what `getaddrinfo` has *found*, in the order in which to try it (rule 2)."""
        targets = list({target[4]: target for target in found}.values())
        other = next((target for target in targets if target[0] != targets[0][0]), None)
        if other is not None:
            targets.remove(other)
            targets.insert(1, other)
        age = {address: number for number, address in enumerate(self._unproven)}
        return sorted(targets, key=lambda target: age.get(target[4], -1))

    def is_unproven(self, target: Target) -> bool:
        """Return whether the address of *target* was tried, and has not been proven since."""
        return target[4] in self._unproven

    def note_tried(self, target: Target) -> None:
        """Note that the address of *target* is unproven, behind all others."""
        self._unproven.pop(target[4], None)
        self._unproven[target[4]] = None
        shorten(self._unproven, _MOST_UNPROVEN)

    def note_open(self, target: Target) -> None:
        """Note that TCP to the address of *target* is open, and going to be used."""
        self._used[target[4]] = None

    def note_success(self) -> None:
        """Note that the addresses in use are proven: a handshake over them has succeeded."""
        for address in self._used:
            self._unproven.pop(address, None)

    def note_failure(self) -> None:
        """Note that the addresses in use are unproven again: they went silent."""
        for address in self._used:
            self._unproven.pop(address, None)
            self._unproven[address] = None

    def begin(self) -> None:
        """Begin a new attempt, with no address in use."""
        self._used.clear()


@attrs.define(eq=False, repr=False)
class _Race:
    """TCP to several addresses; the first that is open wins, and the others are closed."""

    _addresses: Addresses
    winner: Any = attrs.field(default=None, init=False)
    errors: list[Exception] = attrs.field(factory=list, init=False)
    _won: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    async def run(self, targets: list[Target]) -> None:
        """Try *targets* until there is a winner, or all have failed."""
        with self._won:
            async with trio.open_nursery() as nursery:
                # Rule 3: the next one starts when this one has failed, or has taken a moment.
                for target, following in zip_longest(targets, targets[1:]):
                    failed = trio.Event()
                    nursery.start_soon(self._try, target, failed)
                    if following is not None:
                        with trio.move_on_after(self._patience(following)):
                            await failed.wait()

    def abandon(self) -> None:
        """Close the winner, which nobody will use."""
        if self.winner is not None:
            self.winner.close()

    def _patience(self, following: Target) -> float:
        return _PATIENCE_FOR_UNPROVEN if self._addresses.is_unproven(following) else _PATIENCE

    @trio.lowlevel.enable_ki_protection
    async def _try(self, target: Target, failed: trio.Event) -> None:
        family, kind, protocol, _, address = target
        self._addresses.note_tried(target)
        try:
            tcp = not_for_children(trio.socket.socket(family, kind, protocol))
        except OSError as error:  # this machine has no such family
            self.errors.append(error)
            failed.set()
            return
        try:
            await tcp.connect(address)
        except OSError as error:
            self.errors.append(error)
            failed.set()
        else:
            if self.winner is None:
                self.winner = tcp
                self._addresses.note_open(target)
                self._won.cancel()
        finally:
            # Each that has lost closes its own socket; so does one that is cancelled.
            if self.winner is not tcp:
                with suppress(OSError):
                    tcp.close()
