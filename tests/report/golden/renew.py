"""Write the golden pictures anew, after a person has looked at them: python tests/report/golden/renew.py."""

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from labkit.report.draw import DrawOptions, picture

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
tests = import_module("test_draw")
os.chdir(tempfile.mkdtemp())
for scenario, faults, what in tests.test_golden_pictures.pytestmark[0].args[1]:
    text = "\n".join(picture(what, "svg")(tests.built(scenario, *faults), DrawOptions()))
    (tests.GOLDEN / f"{'-'.join((scenario, *faults, what))}.svg").write_text(text, "utf-8")
