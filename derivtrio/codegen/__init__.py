"""A developer's tool: makes the catalogue's data and the typing stubs from Deriv's schemas.

    python -m derivtrio.codegen PATH

PATH is a folder that has `v3/<call>/{send,receive}.json` (as the repository deriv-api-docs of
deriv-com has them, in `config/v3`) and `options/<call>_{request,response}.schema.json` (as
deriv-api-schemas of deriv-com has them, in `schemas`). It rewrites `derivtrio/api/_published.py`
and `derivtrio/api/__init__.pyi`, which nobody edits by hand. After that:

1. `python -m pytest tests/api/test_catalog.py` tells which calls are new; whether they are safe to
   repeat is a judgement, made by hand in `catalog`, as are rate-limit groups and the types that
   `forget_all` takes.
2. What the schemas have wrong is put right in `reading.CORRECTIONS`.

Descriptions are not copied.
"""
