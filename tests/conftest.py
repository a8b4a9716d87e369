"""Makes this folder importable, so that tests in the folders below find `helpers`; and how Hypothesis runs."""

from hypothesis import settings

# No test asserts a time: a slow machine, or one that is busy, is no failure.
settings.register_profile("labkit", deadline=None)
settings.load_profile("labkit")
