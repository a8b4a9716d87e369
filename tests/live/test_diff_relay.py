"""`labkit diff` of captures at both ends of a relay lists what the relay did."""

import json
from pathlib import Path
from threading import Thread
from time import sleep

import pytest
from running import Running
from support import needs_ip, needs_root
from test_relay_lab import LOSSY, Done, Fetch, lab, lossy  # noqa: F401 - fixtures

from labkit.build.trace import Trace
from labkit.capture import Frame, create
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.watch import frames
from labkit.live.wiring import KERNELS
from labkit.packet.linktype import ETHERNET
from labkit.report.diff import Difference, diff

pytestmark = [needs_root, needs_ip]


def captured_at_both_ends(lab: Lab, fetch: Fetch, folder: Path) -> Difference:  # noqa: F811
    """Run the fetch, capture at both ends into files, and compare these."""
    links, done = {}, {}
    found: dict[str, list[Frame]] = {"client": [], "server": []}
    for side in found:
        with lab.inside(side):
            links[side] = Link(KERNELS[side].interface, None, outgoing=True)
        done[side] = Done()
    threads = [
        Thread(target=lambda side=side: found[side].extend(frames(links[side], done[side])))  # type: ignore[misc]
        for side in found
    ]
    with links["client"], links["server"]:
        for each in threads:
            each.start()
        fetch.run()
        sleep(0.3)  # the last packets are still on the path
        for each in done.values():
            each.request()
        for each in threads:
            each.join()
        assert [link.lost() for link in links.values()] == [0, 0]
    for side, captured in found.items():
        with create(folder / f"{side}.pcapng", link=ETHERNET) as out:
            for frame in captured:
                out.write(frame.time, frame.data, wirelen=frame.wirelen)
    one, other = (Trace.from_capture(folder / f"{side}.pcapng") for side in found)
    return diff(one, other, late=4_000_000)


@pytest.mark.parametrize("version", [4, 6])
def test_diff_lists_what_the_relay_did(lab: Lab, lossy: str, version: int, tmp_path: Path) -> None:  # noqa: F811
    assert "to_client: {loss: 3%, duplicate: [8], late: {20: 5ms}" in LOSSY
    with Running(lab, "relay", lossy, "--seed", "3", "--format", "json") as relay:
        difference = captured_at_both_ends(lab, Fetch(lab, version), tmp_path)
        code, printed, errors = relay.end()
    assert (code, errors) == (0, "")
    counts = json.loads(printed)
    (conversation,) = difference.conversations
    assert (conversation.same, conversation.near) == (True, "a")
    assert [each.alterations for each in conversation.directions] == [(), ()]
    for side, way in (("client", "to_server"), ("server", "to_client")):
        own = [each for each in conversation.events if each.side == side]
        assert sum(each.kind == "lost" for each in own) == counts[way]["lost"]
        assert sum(each.kind == "repeated" for each in own) == counts[way]["repeated"]
        assert all(each.kind in {"lost", "repeated", "reordered", "delayed"} for each in own)
        # Whatever was lost was sent again: no octet is missing in the end.
        assert all(each.ranges == () for each in own if each.kind == "lost")
    (direction,) = (each for each in conversation.directions if each.side == "client")
    assert direction.delay is not None
    assert direction.delay >= 2_000_000
