"""The interface through which faults act on a live connection."""

from typing import Protocol


class FaultTarget(Protocol):
    """What a fault needs of a live connection."""

    delay: float

    def drop(self, *, reset: bool = False) -> None:
        """End the byte stream without a Close frame; with *reset*, break it."""

    def close(self, code: int, reason: str = "", *, fin: bool = True) -> None:
        """Send a Close frame; without *fin*, keep the byte stream open and silent."""

    def freeze(self) -> None:
        """Stop reading and writing, and keep the byte stream open."""

    def inject(self, item: str | bytes) -> None:
        """Send *item*, a text message or raw bytes."""

    def cut(self, size: int | None) -> None:
        """Send *size* bytes of the next frame and end the byte stream; `None` undoes it."""

    def fragment(self, size: int | None) -> None:
        """Send messages in frames of *size* characters; `None` means one frame each."""
