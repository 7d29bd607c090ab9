"""Four callbacks become one loop. See README.md."""
