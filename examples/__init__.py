"""Programs that use derivtrio; `lessons` is a course, `guide` the manual."""
