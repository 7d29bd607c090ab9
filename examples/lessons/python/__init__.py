"""A block is a lifetime. See README.md."""
