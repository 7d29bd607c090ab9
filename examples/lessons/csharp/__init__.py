"""Scopes that cannot be forgotten. See README.md."""
