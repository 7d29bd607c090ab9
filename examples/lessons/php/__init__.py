"""Say open when it is true. See README.md."""
