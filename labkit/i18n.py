"""The sentences that a user sees, in the user's language.

English is the message id, so that no catalogue is needed to run. Translations are gettext catalogues,
`labkit/locale/LANGUAGE/LC_MESSAGES/labkit.mo`; the language comes from LANGUAGE, LC_ALL, LC_MESSAGES or LANG, read once.
Codes, keys of JSON and the words of RFCs never go through here.

A message with values is translated before they are filled in: `_("{count} packets").format(count=12)`. A message that must
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
"""The environment's variables that name a language, the first one that is set counts; as gettext has it."""


def languages(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The languages that a user wants, the dearest first, up to English; none for one who wants English.

    `zh_CN.UTF-8` stands for `zh_CN` and then `zh`. What is no language's name is left out.
    """
    setting = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    wanted: list[str] = []
    for item in setting.split(":"):
        name = item.partition(".")[0].partition("@")[0]
        language = name.partition("_")[0]
        if language in {"C", "POSIX", "en"}:
            break
        # The name becomes part of a path: nothing but letters, digits and underscores may get there.
        if name.isascii() and name.replace("_", "").isalnum():
            wanted += [each for each in dict.fromkeys((name, language)) if each not in wanted]
    return tuple(wanted)


@cache
def catalogue() -> "NullTranslations | None":
    """The catalogue of the first wanted language that has one; None where English it is."""
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
    """The message in the user's language; itself where there is no translation."""
    found = catalogue()
    # The empty message is the catalogue's header, not a translation.
    return found.gettext(message) if found and message else message


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form of a message that goes with a count, in the user's language."""
    found = catalogue()
    if found:
        return found.ngettext(singular, plural, count)
    return singular if count == 1 else plural


def N_(message: str) -> str:  # noqa: N802 - gettext's name, which the tools that extract messages know
    """The message as it is: marks it for translation where it is written down, not where it is shown."""
    return message


def printable(text: str) -> str:
    """The text with whatever could steer a terminal, or cannot be encoded, written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def nearest(word: str, words: Iterable[str]) -> str:
    """The nearest of some words, to end a sentence with: `; did you mean 'x'?`; empty where none is near."""
    from difflib import get_close_matches

    known = {each.lower(): each for each in words}
    near = get_close_matches(word.lower(), known, 1)
    return _("; did you mean '{word}'?").format(word=known[near[0]]) if near else ""
