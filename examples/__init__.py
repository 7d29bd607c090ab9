"""Programs that use derivtrio; `guide` is the manual, `lessons` a course, `site` their pages."""
