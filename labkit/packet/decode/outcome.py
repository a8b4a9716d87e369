"""What the walk through a frame finds (`labkit.packet.decode.walk`): numbers for whoever needs nothing else of it."""

OTHER, TCP, FRAGMENT = 0, 1, 2
"""What `decode` found: no TCP; a segment; a fragment of an IP datagram that may hold one."""

MALFORMED, CUT_OFF, TOO_DEEP, LINK_TYPE, FOREIGN, HIDDEN = 3, 4, 5, 6, 7, 8
"""Why `decode` cannot read a frame that may hold TCP.

MALFORMED: an IP header makes no sense. CUT_OFF: the frame ends before the TCP header. TOO_DEEP: it has more than MAX_LAYERS.
LINK_TYPE: its link type, `seg.unread`, is unknown. FOREIGN: it has the IP protocol `seg.unread`. HIDDEN: what looks like IP and
TCP follows an unknown layer. The last two count only between the addresses of a TCP conversation, at `seg.src_at` and
`seg.dst_at`; a protocol of MAY_STAND_BESIDE_TCP counts only between its ports, `seg.sport` and `seg.dport`."""

MAX_LAYERS = 32
"""Layers of a frame, so that a hostile one (a thousand MPLS labels) costs little."""

MAY_STAND_BESIDE_TCP = (0, 1, 2, 4, 17, 33, 41, 46, 47, 50, 58, 88, 89, 97, 103, 108, 112, 115, 132, 136, 137, 143)
"""IP protocols that two hosts may well use beside TCP: ICMP, IGMP, UDP, DCCP, RSVP, ESP, EIGRP, OSPF, PIM, VRRP, L2TP, SCTP,
UDP-Lite, tunnels. 0: no IP header has said its protocol."""
