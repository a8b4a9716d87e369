"""Make this folder importable, so that tests in the folders below find `helpers`; set up Hypothesis and SIGINT."""

import signal

from hypothesis import settings

# A shell starts its background jobs with SIGINT ignored, and their children inherit that: a test of Ctrl-C would wait
# for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test asserts a time: a slow machine, or one that is busy, is no failure. The same commit gets the same examples, so that
# a red test speaks of the change that made it red; `scripts/test --hypothesis-profile=explore` looks at others each time.
settings.register_profile("explore", deadline=None)
settings.register_profile("labkit", deadline=None, derandomize=True)
settings.load_profile("labkit")
