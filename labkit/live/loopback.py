"""The loopback interface as a wire: the kernel gets one address on lo and a route to labkit's address.

Both exist for the length of the run, however it ends. IPv4 only: Linux rejects packets for IPv6 routes over lo.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.cleanup import CleanupProcess
from labkit.live.system import require_capable
from labkit.live.wiring import ip, run_ip
from labkit.packet.scapy_build import Host

FORWARDING = Path("/proc/sys/net/ipv4/conf/lo/forwarding")


@contextmanager
def loopback(kernel: Host, own: Host) -> Iterator[None]:
    """Within the block the kernel owns the address of `kernel` and sends packets for `own` over lo.

    LinkError if the privileges are missing or an address is in use. Call it only from a process with one thread.
    """
    require_capable(_("a conversation on lo"))
    if own.ip.version == 6:
        raise LinkError(_("lo: Linux does not send IPv6 packets for other hosts over lo; use a lab, or IPv4"))
    if FORWARDING.is_file() and FORWARDING.read_text("ascii").strip() != "0":
        text = _("lo: this host is a router and would forward each packet in a loop ({file} is 1); use a lab")
        raise LinkError(text.format(file=FORWARDING))
    known = {each.partition("/")[0] for each in run_ip("-br", "address", "show").split()}
    for host in (kernel, own):
        if host.address in known:
            raise LinkError(_("lo: this host already has the address {address}").format(address=host.address))

    def clean_up() -> None:
        for line in (f"route del {own.address}/32 dev lo", f"address del {kernel.address}/32 dev lo"):
            with suppress(LinkError):
                run_ip(*line.split())

    with CleanupProcess(clean_up):
        ip(
            [
                "link set dev lo up",
                f"address add {kernel.address}/32 dev lo",
                f"route add {own.address}/32 dev lo",
            ]
        )
        yield
