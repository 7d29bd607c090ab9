"""A clean close takes two. See README.md."""
