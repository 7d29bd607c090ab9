"""A developer's tool: makes the catalogue's data and the type stubs from Deriv's schemas.

    python -m derivtrio.codegen PATH

PATH is a folder with `v3/<call>/{send,receive}.json` (as in `config/v3` of deriv-com's repository
deriv-api-docs) and `options/<call>_{request,response}.schema.json` (as in `schemas` of deriv-com's
deriv-api-schemas). The tool rewrites `_published.py` and `__init__.pyi` in `derivtrio/api`, which
are not edited by hand. Afterwards:

1. `python -m pytest tests/api/test_catalog.py` names the calls that are new. Whether a call is safe
   to repeat is a judgement; write it into `api/catalog.py` by hand, with the call's rate-limit
   groups and the types that `forget_all` takes.
2. Where the schemas are wrong, add a line to `reading.CORRECTIONS`.

- `reading`: schemas become shapes.
- `data`: shapes become `_published.py`.
- `merging`: two shapes of a call, one of each generation, become one.
- `stubs`: shapes become `__init__.pyi`.
- `layout`: literals, laid out as the formatter does it.

Descriptions are not copied from the schemas. The wheel does not contain this folder. Begin with
`reading`.
"""
