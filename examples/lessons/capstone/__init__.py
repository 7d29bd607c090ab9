"""A bot, its tests, its disasters. See README.md."""
