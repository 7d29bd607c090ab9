"""A course in structured concurrency: ten programs in ten languages, and what they leave out.

README.md has the order. Each folder is a lesson: README.md, `program`, `exercise` and
`test_exercise`. What the lessons share: `command` runs a lesson's program, `servers` is the server
for a naive client.
"""
