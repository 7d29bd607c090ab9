"""Time as a parameter. See README.md."""
