"""Patterns of structured concurrency that know nothing of Deriv. A lecturer starts here.

- `background`: a task beside a block of user code, whose exceptions stay apart; and a deadline
  that is judged only after other tasks have taken what has come.
- `buffer`: a bounded buffer with an overflow policy, for a producer that must never wait.
- `home`: which run of trio a task belongs to.
- `lock`: a lock that costs no turn of the event loop while nobody else wants it.
- `waking`: what a task is woken with.

Imports: the data modules only. Begin with `background`.
"""
