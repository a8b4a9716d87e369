"""Names of link types: the numbers that pcap and pcapng files give to what a frame begins with.

The numbers and names are those of tcpdump.org's registry of link-layer header types. A link type that labkit reads is
declared beside the function that reads it, in `labkit.packet.decode.link`; `OTHERS` names common ones that it does not
read.
"""

ETHERNET, RAW = 1, 101
"""The link types that labkit writes: Ethernet frames, and IP headers without a link layer."""

OTHERS = {
    3: "AX25",
    8: "SLIP",
    114: "LTALK",
    138: "APPLE_IP_OVER_IEEE1394",
    143: "DOCSIS",
    144: "LINUX_IRDA",
    187: "BLUETOOTH_HCI_H4",
    189: "USB_LINUX",
    195: "IEEE802_15_4_WITHFCS",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR",
    220: "USB_LINUX_MMAPPED",
    227: "CAN_SOCKETCAN",
    230: "IEEE802_15_4_NOFCS",
    247: "INFINIBAND",
    249: "USBPCAP",
    251: "BLUETOOTH_LE_LL",
    252: "WIRESHARK_UPPER_PDU",
    253: "NETLINK",
    254: "BLUETOOTH_LINUX_MONITOR",
    256: "BLUETOOTH_LE_LL_WITH_PHDR",
    266: "USB_DARWIN",
    271: "VSOCK",
    272: "NORDIC_BLE",
    283: "IEEE802_15_4_TAP",
}


def title(number: int) -> str:
    """A link type as messages name it: `1 (ETHERNET)`; the number alone where the name is not known."""
    from labkit.packet.decode.walk import LINK_TYPES

    name = LINK_TYPES.get(number) or OTHERS.get(number)
    return f"{number} ({name})" if name else str(number)
