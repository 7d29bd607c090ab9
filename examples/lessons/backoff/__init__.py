"""Backoff, and a thousand clients. See README.md."""
