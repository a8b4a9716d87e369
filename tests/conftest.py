"""Makes this folder importable, so that tests in the folders below find `helpers`; and how Hypothesis runs."""

from hypothesis import settings

# No test asserts a time: a slow machine, or one that is busy, is no failure. The same commit gets the same examples, so that
# a red test speaks of the change that made it red; `scripts/test --hypothesis-profile=explore` looks at others each time.
settings.register_profile("explore", deadline=None)
settings.register_profile("labkit", deadline=None, derandomize=True)
settings.load_profile("labkit")
