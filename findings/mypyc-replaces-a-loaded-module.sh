#!/bin/sh
# mypyc 2.4.1: a compiled module that imports another one of its group throws out that module where it was loaded from source.
#
# Guess: `import shapes` in compiled code does what it does in any code: a module that is in sys.modules is taken as it is. So a
# program may load one module from its source, say, because tests have changed it, and a second one as compiled code, and both
# work with one class. Seen: the compiled module does not ask sys.modules. It puts the compiled `shapes` of its group in the place of
# the loaded one, without a word. From then on there are two classes of one name: objects that were made before are no
# instances of the class that everybody imports now, and `isinstance` is False on both sides. Compiled alone, each in a
# library of its own (`separate`), the same two modules take the loaded one.
#
# Needs python3 with venv, its headers and a C compiler. Exit code 0 if it is as described, 1 if that has changed, 4 if something is
# missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip -q install mypy==2.4.1 setuptools==80.9.0 2>/dev/null || { echo "cannot install mypy" >&2; exit 4; }
env/bin/python -c 'from importlib.metadata import version; print("mypyc", version("mypy"))'
mkdir source group alone
cat > source/shapes.py <<'PYTHON'
class Shape:
    def __init__(self, name: str) -> None:
        self.name = name
PYTHON
cat > group/drawing.py <<'PYTHON'
from shapes import Shape


def is_shape(value: object) -> bool:
    return isinstance(value, Shape)
PYTHON
cp source/shapes.py group/shapes.py
cp group/*.py alone/
(cd group && ../env/bin/mypyc shapes.py drawing.py >log 2>&1) || { cat group/log >&2; exit 4; }
(cd alone && ../env/bin/mypyc shapes.py >log 2>&1 && ../env/bin/mypyc drawing.py >>log 2>&1) || { cat alone/log >&2; exit 4; }

cat > program.py <<'PYTHON'
import sys

sys.path.insert(0, "source")
import shapes

sys.path[0] = sys.argv[1]
before, square = sys.modules["shapes"], shapes.Shape("square")
import drawing

print(
    "compiled" if drawing.__file__.endswith(".so") else "source",
    "the loaded module" if sys.modules["shapes"] is before else "another module",
    drawing.is_shape(square),
)
PYTHON
group=$(env/bin/python program.py group)
alone=$(env/bin/python program.py alone)
echo "one group: $group"
echo "alone:     $alone"
[ "$group" = "compiled another module False" ] && [ "$alone" = "compiled the loaded module True" ] || exit 1
