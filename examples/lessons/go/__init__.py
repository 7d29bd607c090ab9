"""Shutdown has an order. See README.md."""
