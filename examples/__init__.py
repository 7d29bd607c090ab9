"""Programs that use derivtrio; `lessons` is a course, `guide` the manual, `site` makes pages of both."""
