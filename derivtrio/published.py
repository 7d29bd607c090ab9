"""The old name of `derivtrio.api._published`, for programs that import it so."""

from derivtrio.api._published import OPTIONS, V3

__all__ = ["OPTIONS", "V3"]
