"""pcapng files block by block, in both byte orders. Written apart from labkit."""

import struct


class Blocks:
    """Builds blocks in one byte order."""

    def __init__(self, order):
        self.order = order

    def pack(self, fields, *values):
        return struct.pack(self.order + fields, *values)

    def block(self, kind, body, trailer=None):
        length = len(body) + 12
        return self.pack("II", kind, length) + body + self.pack("I", length if trailer is None else trailer)

    def options(self, *options):
        parts = [self.pack("HH", code, len(value)) + value + bytes(-len(value) & 3) for code, value in options]
        return b"".join(parts) + bytes(4) if parts else b""

    def section(self, *options, major=1):
        return self.block(0x0A0D0D0A, self.pack("IHHq", 0x1A2B3C4D, major, 0, -1) + self.options(*options))

    def interface(self, link=1, snaplen=0, *options):
        return self.block(1, self.pack("HHI", link, 0, snaplen) + self.options(*options))

    def enhanced(self, data=b"data", stamp=0, interface=0, caplen=None, wirelen=None, options=()):
        caplen = len(data) if caplen is None else caplen
        fields = self.pack("IIIII", interface, stamp >> 32, stamp & 0xFFFF_FFFF, caplen, wirelen or len(data))
        return self.block(6, fields + data + bytes(-len(data) & 3) + self.options(*options))

    def obsolete(self, data, stamp, interface=0, options=()):
        fields = self.pack("HHIIII", interface, 77, stamp >> 32, stamp & 0xFFFF_FFFF, len(data), len(data))
        return self.block(2, fields + data + bytes(-len(data) & 3) + self.options(*options))

    def simple(self, data, wirelen):
        return self.block(3, self.pack("I", wirelen) + data + bytes(-len(data) & 3))
