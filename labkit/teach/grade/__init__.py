"""Grade hand-ins: find them, judge each one, and put a class into one table.

`task` says what is graded and `judging` grades one hand-in; both work without any library beyond Python's own, so that a
teaching platform can run them. `handins` finds files in folders and in the archives of learning platforms, `archive` opens
archives that may be hostile, `classroom` grades a class, `honesty` compares its hand-ins, and `table`, `pages` and `xlsx` write
the outcome.
"""
