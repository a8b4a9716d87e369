"""Translation of messages into the user's language.

English is the message id, so that no catalogue is needed to run. Translations are gettext catalogues,
`labkit/locale/LANGUAGE/LC_MESSAGES/labkit.mo`; the language comes from LANGUAGE, LC_ALL, LC_MESSAGES or LANG, read once.
Codes, keys of JSON and the words of RFCs never go through here.

Translate a message before filling in values: `_("{count} packets").format(count=12)`. A message that must
exist before it is shown (a rule's template in its decorator) is marked with `N_` and translated where it is printed.
`printable` makes a foreign text fit to stand in a sentence, `nearest` guesses at a misspelt word. Nothing but `os` is
imported unless another language than English is wanted.
"""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gettext import NullTranslations

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""The environment variables that name a language; the first one that is set counts, as in gettext."""


def languages(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The user's preferred languages in order, up to English; empty if English is the first.

    `zh_CN.UTF-8` stands for `zh_CN` and then `zh`. Malformed names are left out.
    """
    setting = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    wanted: list[str] = []
    for item in setting.split(":"):
        name = item.partition(".")[0].partition("@")[0]
        language = name.partition("_")[0]
        if language in {"C", "POSIX", "en"}:
            break
        # The name becomes part of a path: only letters, digits and underscores are safe.
        if name.isascii() and name.replace("_", "").isalnum():
            wanted += [each for each in dict.fromkeys((name, language)) if each not in wanted]
    return tuple(wanted)


@cache
def catalogue() -> "NullTranslations | None":
    """The catalogue of the first preferred language that has one; None for English."""
    wanted = languages(os.environ)
    if not wanted:
        return None
    from gettext import GNUTranslations
    from pathlib import Path

    for language in wanted:
        path = Path(__file__).with_name("locale") / language / "LC_MESSAGES" / "labkit.mo"
        if path.is_file():
            with path.open("rb") as file:
                return GNUTranslations(file)
    return None


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


def N_(message: str) -> str:  # noqa: N802 - gettext's name, which the tools that extract messages know
    """The message unchanged: marks it for translation where it is defined, not where it is shown."""
    return message


def printable(text: str) -> str:
    """The text with escapes for all characters that could control a terminal or cannot be encoded."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def nearest(word: str, words: Iterable[str]) -> str:
    """The end of a message that suggests the nearest word: `; did you mean 'x'?`; empty if none is near."""
    from difflib import get_close_matches

    known = {each.lower(): each for each in words}
    near = get_close_matches(word.lower(), known, 1)
    return _("; did you mean '{word}'?").format(word=known[near[0]]) if near else ""
