"""All errors that labkit finds in captures of real traffic and of the kernel, each with a proof.

A test verifies the captures in the folder LABKIT_CAPTURES. It fails for an error that this list lacks, and for a listed error
that labkit does not find. `docs/accuracy.md` prints the list.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors with one reason: the rules and packets by capture."""

    title: str
    proof: str
    """Why labkit is right, and where a reader can check it."""
    found: dict[str, dict[str, tuple[int, ...]]]
    """The packets by capture and code; an empty tuple if there are too many to list."""


ERRORS = (
    Errors(
        "A segment was left out",
        "No packet of the file carries the octets that the ack covers (RFC 9293 section 3.10.7.4). In `smtp-bdat-gap` all "
        "packets have the IP identification 1: a script has written them, and the gap is deliberate. In `gap-recovery` "
        "nothing tells, and only the profile `document` finds the error, for it assumes that nothing is missing.",
        {
            "real/smtp/smtp-bdat-gap.pcap": {"ACK01": (24,)},
            "real/spicy/gap-recovery.pcap": {"ACK01": (14,)},
        },
    ),
    Errors(
        "The window was overrun",
        "The sender puts octets beyond ack + window, as tshark shows both (`tcp.ack`, `tcp.window_size`), and no "
        "segment "
        "before has ever offered as much (RFC 9293 section 3.10.7.4). Programs "
        "that ignore windows made the other captures: they send all octets at once and get no answer. labkit "
        "finds the first segment beyond the edge.",
        {
            "real/contentline/rlogin-long-client-user-no-nul.pcapng.gz": {"WIN01": (57,)},
            "real/contentline/rsh-long-client-user-no-nul.pcapng.gz": {"WIN01": (57,)},
            "real/contentline/telnet-long-line-no-eol.pcapng.gz": {"WIN01": (57,)},
            "real/contentline/telnet-unclosed-suboption.pcapng.gz": {"WIN01": (57,)},
            "real/http/206_example_b.pcap": {"WIN01": (1044, 1139)},
            "real/portmapper-many-unanswered-calls.pcapng.gz": {"WIN01": (57,)},
            "real/redis/oss-fuzz-473580107.pcap": {"WIN01": (153,)},
            "real/smtp/mime-header-size-limit.pcap.gz": {"WIN01": (22,)},
            "real/smtp/smtp-many-addresses.pcap.gz": {"WIN01": (2423,)},
            "real/ssh/kex-quadratic-1000.pcap.gz": {"WIN01": (8, 10)},
        },
    ),
    Errors(
        "Probes and crafted segments",
        "A scanner or a fuzzer has sent a FIN without ACK with the SYN's number, a SYN with FIN and URG, or a "
        "segment without control bits (RFC 9293 section 3.10.7.4, fifth check). In `fuzz-72` packet 35 carries other octets than "
        "packet 33 under 465.",
        {
            "real/ipv4/fragmented-4.pcap": {"FL03": (5, 6)},
            "real/modbus/fuzz-72.pcap": {"CAP01": (1, 20), "FL01": (1,), "FL04": (11,), "RTX02": (35,)},
            "real/tcp/fin_retransmission.pcap": {"FIN01": (2,), "FL03": (2,)},
            "real/tcp/syn-then-stuff-then-rst.pcap": {"FIN01": (3,), "FL03": (3,)},
        },
    ),
    Errors(
        "Injected segments",
        "Another machine sends in a host's name. `qi_internet_SYNACK_curl_jsonip`: packet 5 is a forged reply "
        "without the "
        "timestamps that both SYNs agreed on (RFC 7323 section 3.2); the true server's packets 7 and 9 know "
        "nothing of its"
        " octets, and packet 9 has others under the same numbers. `rst-inject-rae`: packet 2 refuses a SYN "
        "without having "
        "its number (ack is the ISN itself, RFC 9293 section 3.5.2), and the SYN ACK follows.",
        {
            "real/tcp/qi_internet_SYNACK_curl_jsonip.pcap": {"RTX02": (9,), "SEQ03": (7,), "TS01": (5,)},
            "real/tcp/rst-inject-rae.pcap": {"RST02": (2,)},
        },
    ),
    Errors(
        "SACK blocks on a SYN",
        "The SYNs carry SACK blocks, although nothing can have been received yet (RFC 2018 section 2). A script has "
        "written them to show the option.",
        {"real/tcp/option-sack.pcap": {"SACK01": (1, 2, 3, 4)}},
    ),
    Errors(
        "A sender that goes on after its own reset",
        "Two programs behind one address: a kernel that knows nothing of the connection resets it, and a program "
        "with a "
        "TCP of its own (a scanner; the user-space TCP of the spoiled capture) goes on (RFC 9293 section 3.5.2).",
        {
            "kernel/uk_kernel_rst_spoils_handshake.on.pcap": {"RST04": (6,)},
            "real/modbus/modbus-and-non-modbus-p502.pcap": {"RST04": (65,)},
        },
    ),
    Errors(
        "Timestamps that nobody asked for",
        "The SYN (packet 1, whose checksum is right) has MSS and SACK-permitted only. The SYN ACK answers with a "
        "window "
        "scale and timestamps all the same, and the client joins in (RFC 7323 section 1.3). tshark lists the "
        "options of "
        "each.",
        {"real/tcp/reassembly.pcap": {"OPT03": (2,), "TS01": ()}},
    ),
    Errors(
        "An option of the wrong length",
        "Timestamps of 8 octets (`08 08` in packet 1), where they have 10; tshark says `option length should be 10`.",
        {"real/tcp/truncated-header.pcap": {"OPT01": (1,)}},
    ),
    Errors(
        "Lengths that do not fit",
        "The IP header's length goes beyond what holds it, and tshark says so too: a PPPoE payload length that is six "
        "octets too short, a GTP payload that ends early, frames that lost their tail when they were stored.",
        {
            "real/pppoe-over-qinq.pcap": {"CAP01": (19, 33, 41, 47, 63, 81)},
            "real/tcp/reassembly.pcap": {"CAP01": (7, 26, 35, 39, 85)},
            "real/tunnels/gtp/gtp9_unknown_or_too_short_payload.pcap": {"CAP01": (11,)},
        },
    ),
    Errors(
        "One wrong checksum among right ones",
        "tshark finds the same segments, and no other of the same host. Somebody edited the payload to show a "
        "broken protocol, and kept the checksum. In `reassembly`, octets were damaged.",
        {
            "real/globus-url-copy-bad-encoding.pcap": {"CK02": (9,)},
            "real/http/http-bad-request-with-version.pcap": {"CK02": (4,)},
            "real/http/no-uri.pcap": {"CK02": (4,)},
            "real/ldap/krb5-sign-seal-01.pcap": {"CK02": (10,)},
            "real/nfs/nfs_fsinfo_bad_status.pcap": {"CK02": (25,)},
            "real/nfs/nfs_getattr_bad_ftype.pcap": {"CK02": (29,)},
            "real/nfs/nfs_write_bad_stable_how.pcap": {"CK02": (134,)},
            "real/rdp/rdp-unknown-keyboard.pcap": {"CK02": (11,)},
            "real/tcp/reassembly.pcap": {"CK02": ()},
            "real/tls/tls1.2-late-protocol-error.pcap": {"CK02": (10,)},
            "real/tls/tls1.2-protocol-violation.pcap": {"CK02": (5,)},
            "real/tunnels/geneve-many-options.pcap": {"CK02": (6,)},
        },
    ),
    Errors(
        "Checksums that were spoiled on purpose, or with the addresses",
        "tshark finds the same ones. Single packets show nothing that all of a host's would have in common, so "
        "that they "
        "stay errors; so do those of `simpleauth`, where besides the addresses the text was made anonymous. In "
        "`tcp-http-with-padding` one host leaves the sum of its pseudo-header under another address (0xdffe in "
        "each ACK), "
        "but for the last ACK: Linux answers from TIME-WAIT without a socket, and sums that up itself.",
        {
            "real/chksums/ip4-tcp-bad-chksum.pcap": {"CK02": (1,)},
            "real/chksums/ip6-hoa-tcp-bad-chksum.pcap": {"CK02": (1,)},
            "real/chksums/ip6-route0-tcp-bad-chksum.pcap": {"CK02": (1,)},
            "real/chksums/ip6-tcp-bad-chksum.pcap": {"CK02": (1,)},
            "real/ldap/simpleauth-diff-port.pcap": {"CK02": (4, 7, 8, 9)},
            "real/ldap/simpleauth.pcap": {"CK02": (4, 7, 8, 9)},
            "real/mpls-in-vlan.pcap": {"CK01": (1, 2, 3), "CK02": (1, 2, 3)},
            "real/quic/383379789-decrypt-crash.pcap": {"CK01": (1,), "CK02": (1,)},
            "real/tcp-http-with-padding.pcap": {"CK02": ()},
            "real/tcp/syn-bad.pcap": {"CK02": (1,)},
            "real/tunnels/geneve-inner-tcp-bad-checksum.pcap": {"CK02": (1,)},
            "real/tunnels/vxlan-inner-tcp-bad-checksum.pcap": {"CK02": (1,)},
            "real/vntag_vlan_sandwich_clean.pcap": {"CK01": (1,)},
        },
    ),
)
