"""The supervisor by hand. See README.md."""
