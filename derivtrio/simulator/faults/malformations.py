"""Messages with a member that is wrong.

A malformation waits for the next message to a request of its call that has such a member, a reply
or a message of a stream. It puts other JSON text in the member's place: text that no encoder of
JSON would write, such as `NaN`, is possible.
"""

from typing import Any, Final

import attrs

from derivtrio.api.codec import encode
from derivtrio.simulator.protocol.envelope import Message

#: Stands for the text while the message is encoded. No message has such a text by itself.
_MARK: Final = "\N{OBJECT REPLACEMENT CHARACTER}"
_REMOVED: Final = object()


@attrs.frozen
class Malformation:
    """*text* in place of the member at *path* in a message to a request of *call*.

    `None` removes the member. The last name of the path may be new; what it is in must exist.
    """

    call: str
    path: tuple[str, ...]
    text: str | None

    def applied_to(self, message: Message) -> str | None:
        """Return *message* as wrong JSON text; `None` if it has no such member."""
        if self.call not in message.get("echo_req", {}):
            return None
        changed = _with(message, self.path, _REMOVED if self.text is None else _MARK)
        if changed is None:
            return None
        return encode(changed).replace(f'"{_MARK}"', self.text or "", 1)


def malformation(call: str, path: str, text: str | None) -> Malformation:
    """Return the malformation of the member at *path*, names with dots; no *text* removes it."""
    names = tuple(path.split("."))
    if not all(names):
        message = f"the path of a member is like 'tick.quote', not {path!r}"
        raise ValueError(message)
    return Malformation(call, names, text or None)


@attrs.define(eq=False)
class Malformations:
    """The malformations that wait for a message, in the order in which they were added."""

    waiting: list[Malformation] = attrs.field(factory=list, init=False)

    def encoded(self, message: Message) -> str:
        """Return *message* as JSON text, with the first malformation that fits it."""
        for position, each in enumerate(self.waiting):
            if (text := each.applied_to(message)) is not None:
                del self.waiting[position]
                return text
        return encode(message)


def _with(value: Any, path: tuple[str, ...], new: object) -> Any:
    """Return a copy of *value* with *new* at *path*; `None` if there is no such place."""
    name, *rest = path
    if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        items = dict(enumerate(value))
        changed = _with_member(items, int(name), tuple(rest), new)
        return None if changed is None else list(changed.values())
    if isinstance(value, dict) and (name in value or not rest):
        return _with_member(value, name, tuple(rest), new)
    return None


def _with_member(
    items: dict[Any, Any], name: int | str, rest: tuple[str, ...], new: object
) -> dict[Any, Any] | None:
    inner = _with(items[name], rest, new) if rest else new
    if inner is None:
        return None
    changed = items | {name: inner}
    if inner is _REMOVED:
        del changed[name]
    return changed
