"""Which subscriptions become mute from the beginning.

`mute` stops the streams that are open. A new subscription speaks, unless a rule is left here: one
for the next subscriptions with the key of a stream that was stopped, or a lasting one.
"""

from collections import Counter
from collections.abc import Iterable

import attrs

from derivtrio.simulator.faults.checks import STREAMS

#: The key of a stream: its kind, a name, any other parameters. See `sessions.streams`.
Key = tuple[str, str, *tuple[int | str, ...]]


def is_named(word: str, key: Key, stream_id: str = "") -> bool:
    """Whether *word* names the stream with this *key* and id, alone or among others."""
    return word in (STREAMS, stream_id) or word in map(str, key)


@attrs.define(eq=False)
class LastingMutes:
    """Rules without an end: for the streams that a word names, and for those with these keys."""

    words: set[str] = attrs.field(factory=set, init=False)
    keys: set[Key] = attrs.field(factory=set, init=False)

    def add(self, word: str, keys: Iterable[Key]) -> None:
        """Add the rule for *word*, and for *keys*: the id of a stream names no later one."""
        self.words.add(word)
        self.keys.update(keys)

    def cover(self, key: Key) -> bool:
        """Whether a new stream with this *key* is mute."""
        return key in self.keys or any(is_named(word, key) for word in self.words)

    def clear(self) -> None:
        """Remove all rules."""
        self.words.clear()
        self.keys.clear()


@attrs.define(eq=False)
class StreamMutes:
    """The rules for all connections: lasting ones, and how many more mute streams a key gets."""

    lasting: LastingMutes = attrs.field(factory=LastingMutes, init=False)
    left: Counter[Key] = attrs.field(factory=Counter, init=False)

    def add(self, keys: Iterable[Key], times: int) -> None:
        """Let the next *times* streams with each of *keys* be mute."""
        for key in keys:
            self.left[key] += times

    def take(self, key: Key) -> bool:
        """Return whether a new stream with this *key* is mute, and count it."""
        if self.left[key] > 0:
            self.left[key] -= 1
            return True
        del self.left[key]
        return self.lasting.cover(key)

    def clear(self) -> None:
        """Remove all rules."""
        self.lasting.clear()
        self.left.clear()
