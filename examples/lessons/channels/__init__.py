"""Channels and slow consumers. See README.md."""
