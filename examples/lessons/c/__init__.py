"""An event loop, by hand and then not. See README.md."""
