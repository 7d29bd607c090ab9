"""Who keeps this alive. See README.md."""
