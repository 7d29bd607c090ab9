"""What the parts of a stream expect of each other, from the server's side to the user's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from derivtrio.events import Gap
from derivtrio.models import Tick

T = TypeVar("T")


class Consumer(Protocol):
    """One of those that share an upstream."""

    def take(self, message: dict[str, Any]) -> bool:
        """Take *message*; return whether more is wanted."""
        ...

    def take_all(self, messages: list[dict[str, Any]]) -> bool:
        """Take *messages*; return whether more is wanted."""
        ...

    def take_ticks(self, ticks: list[Tick], data: bytes, batch: Sequence[Any]) -> bool:
        """Take *ticks*, from the messages of *batch* up to *data*; return whether more is wanted.

        Only the ticks are decoded.
        """
        ...

    def answered(self, *, late: bool) -> None:
        """Note that the last message taken was the reply with which the stream begins or resumes.

        It may be old, above all if it came *late*: what was new meanwhile may never have been sent.
        """
        ...

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        ...

    def conclude(self, error: Exception) -> None:
        """End with what may be missing, and then with *error*."""
        ...

    def finish(self) -> None:
        """End: normally, if the last message could be read."""
        ...

    def close(self, error: Exception | None = None) -> None:
        """End, normally or with *error*."""
        ...


class TooLate(ValueError):
    """An item came after later ones, and is left out: they have been delivered."""


class Translator(Protocol):
    """Translates the server's messages into items, for one consumer.

    `implausible` says why the last item was not believed, or is left out, until somebody takes note
    of it.
    """

    implausible: Exception | None

    @property
    def over(self) -> bool:
        """Whether the last message fed was the last of all."""
        ...

    def feed(self, message: Mapping[str, Any]) -> Sequence[Any]:
        """Return the items that *message* adds."""
        ...

    def answered(self, *, late: bool) -> None:
        """Note that the last message fed was the reply with which the stream begins, or resumes."""
        ...

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        ...

    def skip(self) -> Sequence[Any] | None:
        """Note a message that cannot be read; return what stands for it.

        None: nothing can, and the stream is to be asked for again.
        """
        ...

    def missing(self) -> Sequence[Any]:
        """Return what stands for what may be missing if nothing more comes."""
        ...


class Source(Protocol):
    """Where a subscription's items come from."""

    @property
    def id(self) -> str | None:
        """The server's id of the stream on the present connection."""
        ...

    @property
    def last_at(self) -> float | None:
        """When the stream last got something, in seconds since the epoch."""
        ...

    async def attach(self) -> None:
        """Let items flow into the buffer; raise what the server has against it."""
        ...

    def detach(self) -> None:
        """Let no more items flow. The source need not have been attached."""
        ...


class Backfill(Protocol[T]):
    """Fills the holes in a buffer, when they are read."""

    @property
    def stand_in(self) -> type:
        """The class of what stands for missing items."""
        ...

    @property
    def behind(self) -> bool:
        """Whether items may be missing that come before those in the buffer."""
        ...

    @property
    def accepts(self) -> Callable[[T], bool] | None:
        """Returns whether an item is wanted; None: each is."""
        ...

    @property
    def gaps(self) -> Sequence[Gap]:
        """The holes that could not be filled; the newest of them."""
        ...

    @property
    def gap_count(self) -> int:
        """How many there have been."""
        ...

    def note_missing(self, stand_in: Any, /) -> None:
        """Note that what *stand_in* stands for is missing."""
        ...

    async def next_missing(self) -> T | None:
        """Return the next missing item, when it is there; None if the caller has to look again."""
        ...

    async def goes_on_after(self, error: Exception) -> bool:
        """Return whether the stream goes on after its end with *error*, when it does."""
        ...
