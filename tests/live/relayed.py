"""A conversation of labkit's end and a kernel over `labkit relay`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from running import Running

from labkit.build.scenario import Scenario
from labkit.build.scenario.setup import OTHER
from labkit.live import session
from labkit.live.conversation import Conversation, SessionConfig
from labkit.live.guard import Guard
from labkit.live.kernel import KernelSocket, configure_kernel
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.wiring import KERNELS


@contextmanager
def relayed(text: str, side: str) -> Iterator[Conversation]:
    """A conversation over a relay that applies the scenario's path, instead of labkit's end."""
    scenario = Scenario.parse(text)
    guard = Guard(seconds=20)
    parts = session._parts(SessionConfig(scenario, side, peer="kernel"))
    own, other = parts.hosts[side], parts.hosts[OTHER[side]]
    with TemporaryDirectory() as folder, Lab.temporary(relay=True) as lab:
        path = Path(folder, "path.yaml")
        path.write_text(text, "utf-8")
        with Running(lab, "relay", str(path)) as relay:
            assert "the path of x" in relay.first_line
            configure_kernel(lab, OTHER[side], scenario.model)
            kernel = KernelSocket(lab, scenario.model, parts, OTHER[side], other, own)
            with lab.inside(side), Link(KERNELS[side].interface, guard) as link:
                conversation = Conversation(SessionConfig(scenario, side, path=False, guard=guard), parts, link, kernel)
                yield conversation
                conversation.leave()
            assert relay.end()[0] == 0
