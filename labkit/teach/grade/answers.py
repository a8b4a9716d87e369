"""Answers to questions, as students type them: a text with one `NUMBER: ANSWER` on each line."""

import re
from html import unescape

from labkit.errors import InputError
from labkit.i18n import _
from labkit.teach.grade.task import Answer

MAX_LINES = 2_000
"""Lines of a file of answers that are read."""
MAX_ANSWER = 200
"""Characters of one answer."""

LINE = re.compile(
    r"[\s>*#|-]{0,20}(?:q(?:uestion)?\s*|第|题)?(\d{1,3})\s*题?\s*[\t.,:;=)|\]：、．）]+\s*(.*)", re.IGNORECASE
)
MARKUP = re.compile(r"(?i)<(?:!doctype|html|body|p|br|div|ol|ul)\b")
NUMBER = re.compile(r"[-+]?(?:0x[0-9a-f]{1,16}|\d{1,3}(?:[ ,_']\d{3})+|\d{1,15}(?:\.\d{1,9})?)", re.IGNORECASE)


def decode(octets: bytes) -> str:
    """The text of a file in UTF-8, UTF-16 (with a byte order mark) or Windows-1252. InputError if it is not text."""
    marked = octets.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            text = octets.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not any(ord(char) < 32 and char not in "\t\r\n\f" for char in text):
            return text
    raise InputError(_("this is not text"))


def _lines(text: str) -> list[str]:
    """The lines of a text, or of a web page, as learning platforms save what students type there."""
    if MARKUP.search(text[:2_000]):
        text = unescape(
            re.sub(r"<[^<>]{0,1000}>", "", re.sub(r"(?i)<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^<>]{0,100}>", "\n", text))
        )
    return text.splitlines()[:MAX_LINES]


def read(octets: bytes) -> dict[int, str]:
    """The answers in a text, by the numbers of their questions. The last answer to a question counts, unless it is empty."""
    found: dict[int, str] = {}
    for line in _lines(decode(octets)):
        match = LINE.fullmatch(line.strip())
        if match is not None:
            answer = match[2].partition("  #")[0].strip(" \t|*_`\"'").strip()[:MAX_ANSWER]
            if answer or int(match[1]) not in found:
                found[int(match[1])] = answer
    return found


def is_right(answer: Answer, text: str) -> bool:
    """Whether a student's answer is one of the right ones."""
    return any(_same(right, text) for right in answer.right)


def _same(right: str, text: str) -> bool:
    wanted = _number(right, whole=True)
    if wanted is not None:
        given = _number(text, whole=False)
        return given is not None and given == wanted
    return _plain(right) == _plain(text)


def _number(text: str, *, whole: bool) -> float | None:
    """The number of a text. Unless it must be the whole text, a word may stand before it (`packet 7`) or behind (`7 ms`)."""
    found = NUMBER.findall(text)
    if len(found) != 1 or (whole and found[0] != text.strip()):
        return None
    digits = re.sub(r"[ ,_']", "", found[0])
    return float(int(digits, 16)) if "x" in digits.lower() else float(digits)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().casefold()
