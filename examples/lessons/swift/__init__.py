"""Deadlines belong to the caller. See README.md."""
