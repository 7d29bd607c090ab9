"""The old name of `derivtrio.trading.reconcile.shortcodes`, for programs that import it so."""

from derivtrio.trading.reconcile.shortcodes import agrees, rest_of

__all__ = ["agrees", "rest_of"]
