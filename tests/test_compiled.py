"""A wheel for Linux on x86-64 has the simulation as machine code, which does what the sources do."""

import ast
import platform
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from labkit import compiled

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "scripts" / "lib"))

# One worker runs all of these: the wheel is built once.
pytestmark = [pytest.mark.slow, pytest.mark.compiled, pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for this computer, with the simulation for this Python."""
    pytest.importorskip("ziglang", reason="ziglang, which links, is not installed")
    pytest.importorskip("numpy", reason="numpy, with which captures are built to count branches, is not installed")
    if (sys.platform, platform.machine(), platform.libc_ver()[0]) != ("linux", "x86_64", "glibc"):
        pytest.skip("no simulation is compiled for this computer")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("the headers of Python are not installed")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, TOP / "scripts/lib/wheel.py", "linux-x86_64", "--python", sys.executable]
    subprocess.run([*command, "--output", folder], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture
def site(wheel: Path, tmp_path: Path) -> Path:
    """The folder of a fresh installation."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "compiled")
    return tmp_path / "compiled"


@pytest.fixture
def sites(site: Path) -> list[Path]:
    """Two fresh installations, of which the second has no machine code."""
    other = site.with_name("interpreted")
    shutil.copytree(site, other)
    shutil.rmtree(other / "labkit" / Path(compiled.FOLDER).name)
    return [site, other]


def run(site: Path, code: str, *words: str) -> str:
    """What a program prints that has the installation."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "LABKIT_LANG": "en"},
        cwd=site.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FILES = """
from importlib import import_module
from pathlib import Path
from labkit import compiled
for name in (*compiled.MODULES, *compiled.INLINED):
    print(name, Path(import_module(f"labkit.{name}").__file__).suffix)
"""


def test_every_module_of_the_simulation_comes_from_the_library(site: Path) -> None:
    expected = dict.fromkeys(compiled.MODULES, ".so") | dict.fromkeys(compiled.INLINED, ".py")
    assert dict(line.split() for line in run(site, FILES).splitlines()) == expected


def test_all_other_modules_work_with_it(site: Path) -> None:
    code = """
from importlib import import_module
from pkgutil import walk_packages
import labkit
names = [each.name for each in walk_packages(labkit.__path__, "labkit.") if not each.name.endswith("__main__")]
for name in names:
    import_module(name)
from labkit.build.scenario.end import EndpointEnd
from labkit.live.labkit_end import LabkitEnd
print(len(names) > 300, sorted(state.name for state in LabkitEnd.REPLACEABLE - EndpointEnd.REPLACEABLE))
"""
    assert run(site, code) == "True ['TIME_WAIT']\n"


def test_values_have_one_class_each(site: Path) -> None:
    code = """
from labkit import Scenario, Segment
from labkit.tcp import segment, seq
from labkit.tcp.endpoint import Outgoing, output
print(seq.__file__[-3:], segment.__file__[-3:], output.Segment is Segment, output.Outgoing is Outgoing)
print({type(each.segment) is Segment for each in Scenario.load("document").play()})
"""
    assert run(site, code) == ".py .py True True\n{True}\n"


@pytest.mark.parametrize("name", ["tcp.endpoint.rtt", "build.scenario.play", "tcp.seq"])
def test_a_library_of_other_sources_is_never_loaded(name: str, site: Path) -> None:
    changed = site / "labkit" / f"{name.replace('.', '/')}.py"
    changed.write_text(changed.read_text() + "\n")
    assert {line.split()[1] for line in run(site, FILES).splitlines()} == {".py"}


SOURCES = """
import importlib.util, inspect, sys
from importlib.metadata import files
from pathlib import Path
import labkit.analysis.rules.sequence as rules
import labkit.tcp.endpoint
from labkit.compiled import Source
for module in (rules, sys.modules["labkit.analysis"], labkit.tcp.endpoint):
    spec = module.__spec__
    assert isinstance(spec.loader, Source), spec
    assert spec.has_location and Path(spec.origin) == Path(module.__file__), spec
    assert Path(spec.cached) == Path(importlib.util.cache_from_source(spec.origin)), spec
    assert inspect.getsource(module) == Path(module.__file__).read_text("utf-8")
    package = Path(module.__file__).name == "__init__.py"
    assert spec.parent == (module.__name__ if package else module.__name__.rpartition(".")[0])
    assert spec.submodule_search_locations == ([str(Path(module.__file__).parent)] if package else None), spec
print(*(importlib.util.find_spec(f"labkit.{name}") for name in ("nothing", "tcp.nothing", "locale.nothing")))
print(len(importlib.import_module("labkit.analysis.rules").__path__))
"""


def test_all_other_modules_are_found_as_python_finds_them(site: Path) -> None:
    assert run(site, SOURCES) == "None None None\n1\n"


def test_a_changed_module_is_read_again(site: Path) -> None:
    code = "import labkit.tcp.flags as flags; print(flags.SYN)"
    flags = site / "labkit" / "tcp" / "flags.py"
    for value in (2, 77):
        flags.write_text(f"SYN = {value}\n" + "#" * value)
        subprocess.run([sys.executable, "-m", "compileall", "-q", flags], check=True)
        assert run(site, code) == f"{value}\n"
    flags.write_text("SYN = 5\n")  # what Python has kept is of another source now
    assert run(site, code) == "5\n"


def test_what_is_in_no_file_is_left_to_others(site: Path) -> None:
    other = site.parent / "more"
    other.mkdir()
    (other / "added.py").write_text("NAME = __name__\n")
    code = """
import sys, labkit.tcp
labkit.tcp.__path__.append(sys.argv[1])
from labkit.tcp import added
print(added.NAME)
try:
    import labkit.tcp.nothing
except ModuleNotFoundError as error:
    print(error)
"""
    assert run(site, code, str(other)) == "labkit.tcp.added\nNo module named 'labkit.tcp.nothing'\n"


def test_what_only_reads_captures_loads_no_library(site: Path) -> None:
    code = f"""
import sys
from labkit import compiled
from labkit.cli import run
run(["verify", "--quiet", {str(TOP / "pcaps/document.pcapng")!r}])
print(compiled.LIBRARY in sys.modules)
"""
    assert run(site, code).splitlines()[1:] == ["False"]


BUILDS = """
import io, sys
from hashlib import sha256
from labkit import Scenario
from labkit.build.scenario import shipped
for name in shipped():
    for seed in range(int(sys.argv[1])):
        trace, found = Scenario.load(name).play(seed), []
        for edition in ("annotated", "student"):
            file = io.BytesIO()
            trace.write(file, edition=edition)
            found.append(sha256(file.getvalue()).hexdigest())
        found.append(sha256(repr(trace.records).encode()).hexdigest())
        print(name, seed, *found)
"""


def test_every_scenario_is_the_same_with_every_seed(sites: list[Path]) -> None:
    one, other = (run(site, BUILDS, "5").splitlines() for site in sites)
    assert len(one) > 300
    assert one == other


WRONG = """
from labkit import Scenario
from labkit.errors import LabkitError
HEAD = "name: wrong\\nsummary: Wrong\\n"
for text in (
    "steps:\\n  - client: {send: 5}",
    "steps:\\n  - client: connect\\n  - client: close\\n  - client: {send: 5}",
    "steps:\\n  - client: connect\\n  - client: {receive: 5}",
    "steps:\\n  - client: connect\\n  - client: connect",
    "steps:\\n  - client: connect\\n  - client: {receive: 5}\\n  - server: {send: 1}",
    "path: {rtt: -1ms}\\nsteps:\\n  - client: connect",
    "path: {loss: 2}\\nsteps:\\n  - client: connect",
    "client: {mss: 1}\\nsteps:\\n  - client: connect",
    "client: {congestion: none-such}\\nsteps:\\n  - client: connect",
    "path: {to server: {lose: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}\\nsteps:\\n  - client: connect\\n  - client: {send: 5}",
):
    try:
        print(len(Scenario.parse(HEAD + text).play().records))
    except LabkitError as error:
        print(type(error).__name__, error)
"""


REPLIES = """
from labkit import Scenario
from labkit.errors import LabkitError
for reply in (lambda data: data.upper(), lambda data: bytearray(3), lambda data: "text", lambda data: None):
    built = Scenario.build("reply").client.connect().client.send(b"hello").server.send(reply).client.close().server.close()
    try:
        print([each.segment.payload for each in built.play() if each.segment.payload])
    except LabkitError as error:
        print(type(error).__name__, error)
"""


def test_functions_that_reply_are_checked_alike(sites: list[Path]) -> None:
    one, other = (run(site, REPLIES) for site in sites)
    assert "HELLO" in one
    assert "its function returned str" in one
    assert one == other


def test_errors_are_the_same(sites: list[Path]) -> None:
    one, other = (run(site, WRONG) for site in sites)
    assert one.count("ScenarioError") > 5
    assert one == other


DERIVED = """
import copy, pickle
from pathlib import Path
from random import Random
from traceback import extract_tb
from labkit import Config, Endpoint
from labkit.build.path import Direction, Path as Way
from labkit.tcp.state import State

class Counting(Endpoint):
    def __init__(self, *words, **more):
        self.moves, self.notes = [], 0
        super().__init__(*words, **more)

    def move(self, event):
        self.moves.append(event.name)
        super().move(event)

    def notify(self, notice):
        self.notes += 1
        super().notify(notice)

class Own(Config):
    @property
    def max_payload(self):
        return 100

seen = []
client = Counting(Own(iss=1), Random(1), lambda *change: seen.append(str(change)))
server = Counting(Config(iss=2, timestamps=True), Random(2))
server.listen()
client.open(0)
client_sent = []
for now in range(20):
    if client.state is State.ESTABLISHED and now == 5:
        client.send(bytearray(b"x" * 100), now)
        client.send(memoryview(b"x" * 150), now)
        client.close(now)
    if server.state is State.CLOSE_WAIT:
        server.close(now)
    for end, peer in ((client, server), (server, client)):
        for out in end.segments(now):
            client_sent.append((out.why, out.segment))
            peer.receive(out.segment, now)
print(client.moves, client.notes, server.moves, server.notes, server.read())
print(seen)
print(client_sent)

for value in (Config(mss=1000, fast_open=b"1234"), Direction(delay=3, lose=frozenset({1}))):
    for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert again == value and hash(Config()) == hash(Config())
    print(value)
for wrong in (lambda: setattr(Config(), "mss", 5), lambda: Config(mss=1), lambda: Direction(loss=2), lambda: client.open(0)):
    try:
        wrong()
    except Exception as error:
        places = [each for each in extract_tb(error.__traceback__) if "labkit" in each.filename]
        print(type(error).__name__, error, *((Path(each.filename).name, each.lineno, each.name) for each in places))
print(Way(Direction(delay=5), Direction()).carry("client", 40, 7))
"""


def test_classes_can_be_derived_and_values_copied(sites: list[Path]) -> None:
    one, other = (run(site, DERIVED) for site in sites)
    assert "RCV_ACK_OF_FIN" in one
    assert one == other


def test_the_whole_endpoint_is_compiled() -> None:
    folder = TOP / "labkit/tcp/endpoint"
    found = {
        file.relative_to(TOP / "labkit").with_suffix("").as_posix().replace("/", ".") for file in folder.rglob("*.py")
    }
    others = {"tcp.endpoint.__init__", "tcp.endpoint.congestion.__init__", "tcp.endpoint.signals"}
    assert found - set(compiled.MODULES) == others


def test_marks_for_the_compiler_move_no_line() -> None:
    simulation = pytest.importorskip("simulation", reason="mypyc is not installed")
    for name in compiled.MODULES:
        text = (TOP / "labkit" / f"{name.replace('.', '/')}.py").read_text("utf-8")
        marked = simulation.marked(text)
        functions = (
            [(node.name, node.lineno) for node in ast.walk(ast.parse(each)) if isinstance(node, ast.FunctionDef)]
            for each in (text, marked)
        )
        assert next(functions) == next(functions), name
    names = {"Config", "Direction", "Endpoint"}
    assert names <= simulation.INHERITED | simulation.VALUES
