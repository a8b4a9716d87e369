"""Tell what a file is that is not a capture, in words that a student understands."""

from labkit.capture import HEAD_OCTETS, formats
from labkit.i18n import N_, _

GZIP = b"\x1f\x8b"

MAGIC = (
    (b"%PDF", N_("a PDF document")),
    (b"\x89PNG\r\n", N_("a PNG picture")),
    (b"\xff\xd8\xff", N_("a JPEG picture")),
    (b"GIF8", N_("a GIF picture")),
    (b"{\\rtf", N_("an RTF document")),
    (b"\xd0\xcf\x11\xe0", N_("an old Office document")),
    (b"Rar!", N_("a RAR archive; expected the capture itself, or a zip archive")),
    (b"7z\xbc\xaf", N_("a 7z archive; expected the capture itself, or a zip archive")),
    (b"\x28\xb5\x2f\xfd", N_("zstd data; expected the capture itself")),
    (b"\xfd7zXZ\x00", N_("xz data; expected the capture itself")),
    (b"BZh", N_("bzip2 data; expected the capture itself")),
    (b"\x7fELF", N_("a program")),
    (b"MZ", N_("a Windows program")),
    (b"SQLite format 3", N_("a database")),
)
"""The beginnings of files that students hand in by mistake."""


def is_zip(octets: bytes) -> bool:
    """Whether a file is a zip archive."""
    return octets.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def described(octets: bytes, *, text: bool = False) -> str | None:
    """What a file is; None if it begins as a capture, or if `text` is wanted and it may be text."""
    head = octets[:HEAD_OCTETS]
    is_capture = any(format_.matches(head) for format_ in formats())
    if is_capture or octets.startswith(GZIP):
        return None if not text else _("a capture") if is_capture else _("gzip data")
    if is_zip(octets):
        return _zip(octets)
    for magic, name in MAGIC:
        if octets.startswith(magic):
            return _(name)
    if _is_text(octets[:4096]):
        if text:
            return None
        if octets[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            return _("a web page")
        if octets.lstrip()[:1] in b"{[" and b"_source" in octets[:8192]:
            return _("Wireshark's JSON export; save the capture itself with File, Save As")
        if b"scapy" in octets[:8192]:
            return _("a Python script; hand in the capture that it writes")
        return _("a text")
    return None if text else _("data of an unknown kind")


def _zip(octets: bytes) -> str:
    for name, what in (
        (b"word/", N_("a Word document")),
        (b"xl/", N_("an Excel sheet")),
        (b"ppt/", N_("a presentation")),
    ):
        if name in octets[:65536]:
            return _(what)
    if b"mimetypeapplication/vnd.oasis" in octets[:200]:
        return _("an OpenDocument file")
    return _("a zip archive")


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return not any(octet < 9 or (13 < octet < 32 and octet != 27) for octet in head)
