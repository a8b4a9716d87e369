"""Translation of messages into the user's language.

English is the message id, so that no catalogue is needed to run. Translations are gettext catalogues,
`labkit/locale/LANGUAGE/LC_MESSAGES/labkit.mo`; the language comes from `--lang` (`speaking`), or from LABKIT_LANG, LANGUAGE,
LC_ALL, LC_MESSAGES or LANG, read once. Codes, keys of JSON and the words of RFCs never go through here.

Translate a message before filling in values: `_("{count} packets").format(count=12)`. A message that must
exist before it is shown (a rule's template in its decorator) is marked with `N_` and translated where it is printed.
`printable` makes a foreign text fit to stand in a sentence, `nearest` guesses at a misspelt word. `width`, `padded` and
`wrapped` count the columns of a terminal, of which a Chinese character takes two. Little is imported unless another language
than English is wanted.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gettext import NullTranslations

DOMAIN = "labkit"

VARIABLES = ("LABKIT_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""The environment variables that name a language; the first one that is set counts, as in gettext."""

ENGLISH = frozenset({"C", "POSIX", "en"})

ALIASES = {"zh": "zh_CN"}
"""The folder of a language whose folder names a country or a script."""

NO_START = frozenset("、。，．：；？！）］｝〕〉》」』】”’…—～·%,.:;?!)]}")
NO_END = frozenset("（［｛〔〈《「『【“‘([{")
"""Characters that begin no line, and that end none: the rules for Chinese text (GB/T 15834)."""


def languages(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The user's preferred languages in order, up to English; empty if English is the first.

    `zh_CN.UTF-8` stands for `zh_CN` and then `zh`. Malformed names are left out.
    """
    setting = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    wanted: list[str] = []
    for item in setting.split(":"):
        name = item.partition(".")[0].partition("@")[0]
        language = name.partition("_")[0]
        if language in ENGLISH:
            break
        # The name becomes part of a path: only letters, digits and underscores are safe.
        if name.isascii() and name.replace("_", "").isalnum():
            wanted += [each for each in dict.fromkeys((name, language)) if each not in wanted]
    return tuple(wanted)


def folder() -> str:
    """The folder of the catalogues."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "locale")  # noqa: PTH100, PTH118, PTH120 - no pathlib yet


def translated() -> list[str]:
    """The languages that have a catalogue."""
    try:
        return sorted(os.listdir(folder()))  # noqa: PTH208 - no pathlib yet
    except OSError:
        return []


def available(name: str) -> str | None:
    """The language of a name such as `zh`, `zh-CN` or `en`; None if labkit does not speak it."""
    wanted = languages({"LANGUAGE": name.replace("-", "_")})
    found = next((each for each in map(_alias, wanted) if each in translated()), None)
    return found if wanted else "en" if name.replace("-", "_").partition("_")[0] in ENGLISH else None


def _alias(language: str) -> str:
    return ALIASES.get(language, language)


@cache
def catalogue() -> "NullTranslations | None":
    """The catalogue of the first preferred language that has one; None for English."""
    wanted = languages(os.environ)
    if not wanted:
        return None
    from gettext import translation

    for language in wanted:
        with suppress(OSError):
            return translation(DOMAIN, folder(), [_alias(language)])  # gettext reads a file once, for click too
    return None


def language() -> str:
    """The language of texts as HTML names it: `zh-CN`, or `en`."""
    found = next((each for each in map(_alias, languages(os.environ)) if each in translated()), "en")
    return found.replace("_", "-")


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Speak a language, or the environment's where it is None. Messages of click are in the same catalogue.

    The environment names the language, so that processes which labkit starts speak it too.
    """
    wanted = language or ":".join(languages(os.environ))
    if not wanted and language is None:
        yield
        return
    import gettext

    before = {name: os.environ.get(name) for name in ("LABKIT_LANG", "LANGUAGE")}
    domain = gettext.textdomain()
    os.environ["LABKIT_LANG"] = os.environ["LANGUAGE"] = ":".join(map(_alias, wanted.split(":")))
    gettext.bindtextdomain(DOMAIN, folder())
    gettext.textdomain(DOMAIN)
    catalogue.cache_clear()
    try:
        yield
    finally:
        gettext.textdomain(domain)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        catalogue.cache_clear()


def _(message: str) -> str:
    """The message in the user's language; unchanged if there is no translation."""
    found = catalogue()
    # The empty message is the catalogue's header, not a translation.
    return found.gettext(message) if found and message else message


def ngettext(singular: str, plural: str, count: int) -> str:
    """The singular or plural of a message, in the user's language."""
    found = catalogue()
    if found:
        return found.ngettext(singular, plural, count)
    return singular if count == 1 else plural


def listed(items: Iterable[str]) -> str:
    """Things of one kind: `5, 6`, in Chinese with the mark of enumerations."""
    return _("{first}, {next}").format(first="", next="").join(items)


def aside(text: str, remark: str) -> str:
    """A text with a remark in parentheses."""
    return text + _(" ({remark})").format(remark=remark)


def joined(text: str) -> str:
    """A sentence without the spaces that a filled-in value leaves where Chinese has none: `ack 19（原始值 1019） 没有`."""
    if text.isascii():
        return text
    import re

    mark, wide = r"[\u3001-\u303f\uff01-\uff60]", r"[\u3001-\u303f\u3400-\u9fff\uff01-\uff60]"
    return re.sub(rf"(?<={mark}) (?=\w)|(?<=\w) (?={mark})|(?<={wide}) (?={wide})", "", text)


def N_(message: str) -> str:  # noqa: N802 - gettext's name, which the tools that extract messages know
    """The message unchanged: marks it for translation where it is defined, not where it is shown."""
    return message


def unfolded(text: str) -> str:
    """A docstring as paragraphs, each on one line."""
    return "\n\n".join(" ".join(each.split()) for each in text.strip().replace("\n\n\n", "\n\n").split("\n\n"))


REASONS = (
    N_("No such file or directory"),
    N_("Permission denied"),
    N_("Operation not permitted"),
    N_("Is a directory"),
    N_("Not a directory"),
    N_("File exists"),
    N_("File name too long"),
    N_("Too many open files"),
    N_("Too many levels of symbolic links"),
    N_("No space left on device"),
    N_("Read-only file system"),
    N_("Input/output error"),
    N_("Device or resource busy"),
)
"""What the system says of a file (`strerror`), in Linux's and macOS' words; `reason_of` translates it."""


def reason_of(error: Exception) -> str:
    """Why the system, or Python, refused something, in a few words."""
    if isinstance(error, ValueError) and "null" in str(error):  # versions of Python say it in different words
        return _("its name has a null character")
    return _(getattr(error, "strerror", None) or str(error)) or type(error).__name__


def unreadable(name: str | os.PathLike[str], error: Exception) -> str:
    """The line about a file that cannot be read, by its path or another name of it."""
    return _("{name}: cannot be read: {reason}").format(name=printable(str(name)), reason=reason_of(error))


def printable(text: str) -> str:
    """The text with escapes for all characters that could control a terminal or cannot be encoded."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def width(text: str) -> int:
    """The columns that a text without control characters takes in a terminal: two for each wide character."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def padded(text: str, columns: int, fill: str = " ") -> str:
    """The text with spaces behind it up to a width in columns, like `str.ljust`; before it for a negative width."""
    space = fill * (abs(columns) - width(text))
    return text + space if columns > 0 else space + text


def cut(text: str, columns: int) -> str:
    """The beginning of a text that fits into a width in columns."""
    while width(text) > columns:
        text = text[: min(columns, len(text) - 1)]
    return text


def wrapped(text: str, columns: int, first: str = "", rest: str = "") -> list[str]:
    """Break a text into lines of at most `columns` columns; `first` and `rest` begin the first line and the others.

    A line breaks at a space, and before or after a wide character, but not before a closing mark or after an opening one.
    """
    lines: list[str] = []
    line, used, empty = first, width(first), True
    for gap, piece in _pieces(text):
        wide = width(piece)
        if not empty and used + len(gap) + wide > columns:
            lines.append(line)
            line, used, gap = rest, width(rest), ""
        elif empty:
            gap = ""
        line += gap + piece
        used += len(gap) + wide
        empty = False
    return [*lines, line] if not empty else lines


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """What no line break may divide: each piece with the space before it."""
    gap, piece = "", ""
    for char in text:
        if char.isspace():
            if piece:
                yield gap, piece
                gap, piece = "", ""
            gap = " "
            continue
        may = piece and (width(char) == 2 or width(piece[-1]) == 2)
        if may and char not in NO_START and piece[-1] not in NO_END:
            yield gap, piece
            gap, piece = "", ""
        piece += char
    if piece:
        yield gap, piece


def nearest(word: str, words: Iterable[str]) -> str:
    """The end of a message that suggests the nearest word: `; did you mean 'x'?`; empty if none is near."""
    from difflib import get_close_matches

    known = {each.lower(): each for each in words}
    near = get_close_matches(word.lower(), known, 3)
    if not near:
        return ""
    # Of words that are about as near, the first letter of what was typed is the surest.
    best = max(near, key=lambda each: each[0] == word[:1].lower())
    return _("; did you mean '{word}'?").format(word=known[best])
