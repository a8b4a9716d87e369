"""Octets to segments and back: decoding frames, reassembling fragments, building and editing packets."""
