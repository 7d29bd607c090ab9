"""Silence is not health. See README.md."""
