"""The documentation as one site: guide, lessons, reference; its search needs no network.

    python -m examples.site --out DIR

- `contents`: what is in it, and in which order.
- `documents`: a page, from Markdown; its headings and links.
- `reference`: the public names, from their docstrings and signatures.
- `building`: writes all pages. `checking`: reads them again, and says what is wrong.

A page has the place in the site that its source has in the repository. So a relative link is the
same on a code host and here, but for its ending.
"""
