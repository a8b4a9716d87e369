"""The loopback interface as a wire: the kernel gets an address there, and finds another one, which is labkit's.

Both last as long as the run, however it ends. It is for IPv4 only: Linux makes an IPv6 route over lo one that rejects.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.cleanup import CleanupProcess
from labkit.live.system import require_capable, require_program
from labkit.live.wiring import ip
from labkit.packet.scapy_build import Host

NAME = "lo"


@contextmanager
def loopback(kernel: Host, own: Host) -> Iterator[None]:
    """Within the block the kernel owns the address of `kernel`, and sends over the loopback what is for `own`.

    LinkError where that may not be done, or one of the addresses is in use. Only for a process with one thread.
    """
    require_capable(_("a conversation on lo"))
    program = require_program("ip")
    if own.ip.version == 6:
        raise LinkError(_("lo: Linux sends nothing over IPv6 to others on lo; use a lab, or IPv4"))
    forwards = Path("/proc/sys/net/ipv4/conf/lo/forwarding")
    if forwards.is_file() and forwards.read_text("ascii").strip() != "0":
        raise LinkError(
            _("lo: this host is a router, and would send each packet round and round ({file} is 1); use a lab").format(
                file=forwards
            )
        )
    known = subprocess.run(  # noqa: S603 - a program by its full path, without a shell
        [program, "-br", "address", "show"], capture_output=True, text=True, check=False
    ).stdout.split()
    for host in (kernel, own):
        if any(each.partition("/")[0] == host.address for each in known):
            raise LinkError(_("lo: {address} is an address of this host already").format(address=host.address))
    undo = [f"route del {own.address}/32 dev {NAME}", f"address del {kernel.address}/32 dev {NAME}"]

    def tidy() -> None:
        for line in undo:
            subprocess.run(  # noqa: S603 - as above
                [program, *line.split()], capture_output=True, check=False
            )

    with CleanupProcess(tidy):
        ip(
            [
                "link set dev lo up",
                f"address add {kernel.address}/32 dev {NAME}",
                f"route add {own.address}/32 dev {NAME}",
            ]
        )
        yield
