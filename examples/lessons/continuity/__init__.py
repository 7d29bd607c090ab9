"""Continuity without I/O. See README.md."""
