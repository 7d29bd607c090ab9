"""Calls that end decided. See README.md."""
