"""What a report shows of a verdict: the rules, their severities, and the severity at which a capture fails.

A course keeps its choices in a file, `labkit.toml`, or in the table `[tool.labkit]` of a `pyproject.toml`:

    profile = "rfc9293"           # or "document"; with it, literal = true
    fail-on = "warning"
    select = ["ACK", "SEQ"]       # codes, names, families, or beginnings of codes; default: all rules
    ignore = ["duplicate-ack"]
    severity = {ACK06 = "error"}
    strict = ["truncated"]        # kinds of limits that fail a capture; true: all of them
    complete = true               # no packet is missing; false: packets are missing; without it, each capture tells

A file that labkit finds may be refused (`labkit.analysis.config_trust`). The verifier does not depend on these choices:
`ReportConfig.apply` takes findings out of its verdict, and counts them.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labkit.analysis import limits
from labkit.analysis.catalogue import collect, folded, only_shipped
from labkit.analysis.examine import Completeness
from labkit.analysis.findings import Group, regraded
from labkit.analysis.severity import DOCUMENT, LITERAL, RFC9293, Severity
from labkit.analysis.value import Value
from labkit.analysis.verdict import PROFILES, Verdict
from labkit.errors import UsageError
from labkit.i18n import _, listed, nearest, printable, unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.analysis.rule import Rule

FILE, PROJECT = "labkit.toml", "pyproject.toml"

MAX_FILE_OCTETS = 1_048_576
"""Octets of a file that selects rules and severities."""

SEVERITIES = {str(each): each for each in sorted(Severity)}

Rules = tuple["Rule", ...]
Key = tuple[str, str]
"""A rule's code and name: several rules share a code."""


@dataclass(frozen=True, eq=False, repr=False)
class ReportConfig(Value):
    """The choices of a report. Words for rules are those of `rules_named`."""

    profile: str = RFC9293
    literal: bool = False
    """With the profile `document`: the two rules of the introductory text, taken literally."""
    fail_on: Severity = Severity.ERROR
    select: tuple[str, ...] = ()
    """The rules that are reported; empty: all."""
    ignore: tuple[str, ...] = ()
    """Rules that are not reported, even if they are selected."""
    severity: Mapping[str, Severity] = field(default_factory=dict)
    """Other severities for rules. A later entry overrides an earlier one."""

    completeness: str = Completeness.AUTO
    """Whether packets may be missing."""

    strict: bool | tuple[str, ...] = ()
    """Kinds of limits that make a capture fail; True: all of them."""

    allow_empty: bool = False
    """Whether a capture may be empty: that nothing of it was judged does not fail it."""

    file: str | None = None
    """The configuration file that was used."""

    extra: tuple[str, ...] = ()
    """Files of further rules (`labkit.analysis.catalogue.load_rules`)."""

    def __getstate__(self) -> dict[str, object]:
        """For another process: the words, not the rules that they name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def settings(self) -> dict[str, object]:
        """The values of all keys, as JSON has them."""
        return {key: _json(getattr(self, attribute)) for key, (attribute, _read) in KEYS.items()}

    @property
    def summary(self) -> str:
        """The file, and the keys with other values than without a file, as TOML has them; empty without a file."""
        if self.file is None:
            return ""
        usual = ReportConfig().settings
        words = [f"{key} = {_toml(value)}" for key, value in self.settings.items() if value != usual[key]]
        return f"{self.file}: {', '.join(words)}" if words else self.file

    @cached_property
    def rules(self) -> "tuple[Rule, ...]":
        """The rules of the profile that are reported. UsageError for a word that names no rule."""
        profile, every = LITERAL if self.literal else self.profile, collect(self.extra)
        known = [each for each in every if profile in each.profiles]
        chosen = _named(self.select, every) if self.select else {_key(each) for each in known}
        chosen -= _named(self.ignore, every)
        return tuple(each for each in known if _key(each) in chosen)

    def leaves_no_rule(self) -> bool:
        """Whether no rule of the profile is reported. UsageError for a word that names no rule."""
        # Where nothing is chosen and nothing added, the rules need not be imported.
        return bool(self.select or self.ignore or self.extra or not only_shipped()) and not self.rules

    @cached_property
    def severities(self) -> dict[Key, Severity]:
        """The severity of each rule whose severity was changed."""
        return {
            key: severity for word, severity in self.severity.items() for key in _named([word], collect(self.extra))
        }

    @cached_property
    def _reported(self) -> "dict[Key, Rule]":
        return {_key(each): each for each in self.rules}

    def apply(self, verdict: Verdict) -> Verdict:
        """The verdict without what is not reported, and with the chosen severities."""
        findings = regraded(verdict.findings, self._choice)
        beyond = [
            Group(each.code, each.name, severity, each.count)
            for each in verdict.beyond
            if (severity := self._choice(each.code, each.name, each.severity)) is not None
        ]
        left_out = len(verdict.findings) - len(findings)
        left_out += sum(each.count for each in verdict.beyond) - sum(each.count for each in beyond)
        strict = limits.words(collect(self.extra)) if self.strict is True else self.strict or ()
        return replace(
            verdict,
            findings=findings,
            beyond=beyond,
            left_out=verdict.left_out + left_out,
            fail_on=self.fail_on,
            strict=strict,
        )

    def _choice(self, code: str, name: str, severity: Severity) -> Severity | None:
        """The severity of a finding, or None to leave it out. A less certain form of a fault is never raised."""
        rule = self._reported.get((code, name))
        if rule is None:
            return None
        chosen = self.severities.get((code, name))
        if chosen is None:
            return severity
        own = rule.severity_in(LITERAL if self.literal else self.profile, True)
        return chosen if severity >= own else min(chosen, severity)


def rules_named(word: str, rules: "tuple[Rule, ...]") -> "tuple[Rule, ...]":
    """The rules of a word: a code, a name, a family (`sequence`), or the beginning of codes (`SEQ`). May be empty."""
    text = folded(word)
    exact = tuple(each for each in rules if text in map(folded, (each.code, each.name, each.family)))
    # A single letter is the beginning of too many codes.
    return exact or tuple(each for each in rules if len(text) > 1 and folded(each.code).startswith(text))


def _named(words: Iterable[str], rules: "tuple[Rule, ...]") -> set[Key]:
    """The rules that words name. UsageError for a word that names no rule."""
    found: set[Key] = set()
    for word in words:
        named = rules_named(word, rules)
        if not named:
            names = ("code",) if any(map(str.isdigit, word)) else ("code", "name", "family")
            known = [getattr(each, name) for each in rules for name in names]
            text = _("no rule or family is named '{word}', and no code begins with it")
            raise UsageError(text.format(word=printable(word)) + nearest(word, known))
        found |= {_key(each) for each in named}
    return found


def _key(rule: "Rule") -> Key:
    return rule.code, rule.name


# Files.


def candidates(start: "str | os.PathLike[str]") -> "Iterator[Path]":
    """Yield the configuration files in a folder and in those that hold it, the nearest first.

    `labkit.toml` precedes `pyproject.toml` in the same folder. A `pyproject.toml` needs a table `[tool.labkit]`; one that cannot
    be read is ignored.
    """
    folder = os.fspath(start)
    while True:
        for name in (FILE, PROJECT):
            place = os.path.join(folder, name)  # noqa: PTH118 - no pathlib yet: most folders have neither
            # Whoever put a link there that leads nowhere is to know.
            broken = name == FILE and os.path.islink(place) and not os.path.exists(place)  # noqa: PTH110, PTH114
            if broken or (os.path.isfile(place) and (name == FILE or _mentions(place))):  # noqa: PTH113
                from pathlib import Path

                yield Path(place)
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return
        folder = above


def load(path: "Path", extra: tuple[str, ...] = (), content: bytes | None = None) -> ReportConfig:
    """Read a configuration file, or its content that was read before. UsageError, with the file and the key, for what does
    not fit. `extra` names files of further rules."""
    return config_of(table_of(path, read(path) if content is None else content), str(path), extra)


def config_of(table: Mapping[str, object], file: str, extra: tuple[str, ...] = ()) -> ReportConfig:
    """The configuration in the keys and values of a file. UsageError as from `load`."""
    name = printable(file)
    unknown = [key for key in table if key not in KEYS]
    if unknown:
        text = _("{file}: there is no key '{key}'").format(file=name, key=printable(unknown[0]))
        raise UsageError(text + nearest(unknown[0], KEYS))
    values: dict[str, Any] = {"extra": extra, "file": file}
    for key, value in table.items():
        attribute, convert = KEYS[key]
        try:
            values[attribute] = convert(value, collect(extra))
        except UsageError as error:
            raise UsageError(f"{name}{_(': ')}{key}{_(': ')}{error}") from None
    choices = ReportConfig(**values)
    if choices.literal and choices.profile != DOCUMENT:
        text = _("{file}: literal: the literal rules belong to the profile 'document'")
        raise UsageError(text.format(file=name))
    return choices


def _mentions(path: str) -> bool:
    """Whether a `pyproject.toml` has choices, or seems to have some and cannot be parsed."""
    try:
        octets = read(path)
    except UsageError:
        return False
    if b"labkit" not in octets:
        return False  # the usual case, without parsing
    from tomllib import TOMLDecodeError

    try:
        tool = _parsed(octets).get("tool")
    except (TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return b"tool.labkit" in octets
    return isinstance(tool, dict) and "labkit" in tool


def table_of(path: "Path", content: bytes) -> Mapping[str, object]:
    """The keys and values in the content of a configuration file. UsageError if it is not TOML."""
    from tomllib import TOMLDecodeError

    name = printable(str(path))
    try:
        table: object = _parsed(content)
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            _("{file}: not a TOML file: {reason}").format(file=name, reason=printable(str(error)))
        ) from None
    except RecursionError:
        raise UsageError(_("{file}: the TOML tables are nested too deeply").format(file=name)) from None
    if path.name == PROJECT:
        for key in ("tool", "labkit"):
            table = table.get(key, {}) if isinstance(table, dict) else table
        if not isinstance(table, dict):
            raise UsageError(_("{file}: tool.labkit: must be a table").format(file=name))
    return table  # type: ignore[return-value]  # TOML's top is a table


def _parsed(octets: bytes) -> dict[str, object]:
    from tomllib import loads

    return loads(octets.decode("utf-8"))


def read(path: "str | Path") -> bytes:
    """The content of a configuration file. UsageError if it cannot be read, or is too large."""
    name = printable(str(path))
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - no pathlib yet
            octets = file.read(MAX_FILE_OCTETS + 1)
    except OSError as error:
        raise UsageError(unreadable(path, error)) from None
    if len(octets) > MAX_FILE_OCTETS:
        raise UsageError(_("{file}: the file is larger than {most} bytes").format(file=name, most=MAX_FILE_OCTETS))
    return octets


# One function for each type of value. It returns the attribute of `ReportConfig`; UsageError names the expected value.


def _profile(value: object, _rules: Rules) -> str:
    return _word(value, PROFILES)


def _flag(value: object, _rules: Rules) -> bool:
    if not isinstance(value, bool):
        raise UsageError(_("must be true or false, not {value}").format(value=_shown(value)))
    return value


def _strict(value: object, rules: Rules) -> bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value or ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        text = _('must be true, false, or a list of limits, as in ["truncated"], not {value}')
        raise UsageError(text.format(value=_shown(value)))
    return limit_kinds(value, rules)


def limit_kinds(words: Iterable[str], rules: Rules) -> tuple[str, ...]:
    """The kinds of limits that words name. UsageError for a word that names none."""
    kinds, known = tuple(words), limits.words(rules)
    for word in kinds:
        if word not in known:
            text = _("there is no limit '{word}'; the limits are {known}")
            raise UsageError(text.format(word=printable(word), known=listed(known)) + nearest(word, known))
    return kinds


def _completeness(value: object, rules: Rules) -> str:
    return Completeness.COMPLETE if _flag(value, rules) else Completeness.PARTIAL


def _severity(value: object, _rules: Rules) -> Severity:
    return SEVERITIES[_word(value, SEVERITIES)]


def _words(value: object, rules: Rules) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(_('must be a list of rules, as in ["ACK", "SEQ01"], not {value}').format(value=_shown(value)))
    _named(value, rules)
    return tuple(value)


def _severities(value: object, rules: Rules) -> dict[str, Severity]:
    if not isinstance(value, dict):
        raise UsageError(_('must be a table, as in {{ACK06 = "error"}}, not {value}').format(value=_shown(value)))
    _named(value, rules)
    found = {}
    for rule, severity in value.items():
        try:
            found[rule] = _severity(severity, rules)
        except UsageError as error:
            raise UsageError(f"{printable(rule)}{_(': ')}{error}") from None
    return found


def _word(value: object, known: Iterable[str]) -> str:
    words = tuple(known)
    if not isinstance(value, str) or value not in words:
        text = _("must be one of {known}, not {value}").format(known=listed(words), value=_shown(value))
        raise UsageError(text + (nearest(value, words) if isinstance(value, str) else ""))
    return value


def _shown(value: object) -> str:
    """A value as one short line of a message."""
    text = printable(repr(value))
    return text if len(text) <= 60 else text[:59] + "…"


def _json(value: object) -> object:
    """The value of a key, from the attribute of `ReportConfig`, as JSON has it. None stands for a key that is not set."""
    match value:
        case Completeness():
            return None if value == Completeness.AUTO else value == Completeness.COMPLETE
        case Severity():
            return str(value)
        case tuple():
            return list(value)
        case Mapping():
            return {word: str(severity) for word, severity in value.items()}
    return value


def _toml(value: object) -> str:
    """A value of JSON as TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{printable(word)} = {_toml(each)}" for word, each in value.items()) + "}"
    from json import dumps

    return printable(dumps(value, ensure_ascii=False))


KEYS = {
    "profile": ("profile", _profile),
    "literal": ("literal", _flag),
    "fail-on": ("fail_on", _severity),
    "select": ("select", _words),
    "ignore": ("ignore", _words),
    "severity": ("severity", _severities),
    "strict": ("strict", _strict),
    "complete": ("completeness", _completeness),
}
"""The keys of a file: the attribute of `ReportConfig`, and the function that reads the value."""
