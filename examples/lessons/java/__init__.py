"""Who ended it. See README.md."""
