"""Link types: what the first octets of a captured frame are, by the number that pcap and pcapng files give.

The registry is tcpdump.org's list of link-layer header types; only those that `decode` reads stand here. 12
and 14 are what BSD systems wrote for raw IP before the registry had a number of its own.
"""

NULL = 0
"""BSD loopback: an address family in the byte order of the machine that captured."""
ETHERNET = 1
TOKEN_RING = 6
PPP = 9
FDDI = 10
RAW_BSD = 12
RAW_OPENBSD = 14
PPP_SERIAL = 50
PPP_ETHER = 51
"""PPPoE, from its own header on."""
ATM_RFC1483 = 100
RAW = 101
"""An IP header; its version says which."""
CISCO_HDLC = 104
IEEE802_11 = 105
FRAME_RELAY = 107
LOOP = 108
"""OpenBSD loopback: an address family in network byte order."""
ENC = 109
"""OpenBSD's view of IPsec: an address family and twelve octets of header."""
LINUX_SLL = 113
"""Linux cooked capture, version 1: what the pseudo-device `any` gave."""
PFLOG = 117
PRISM = 119
RADIOTAP = 127
AVS = 163
PPP_PPPD = 166
PPI = 192
IPV4 = 228
IPV6 = 229
NFLOG = 239
LINUX_SLL2 = 276
"""Linux cooked capture, version 2: what the pseudo-device `any` gives."""
