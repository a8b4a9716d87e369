"""The command line of `scripts/translate`: collect messages, update catalogues, compile them.

Messages come from four places: calls of `_`, `N_` and `ngettext` in the sources; declarations that are translated where they
are shown (rules, faults, commands); data (scenarios, assignments, stacks); and click, whose messages labkit shows as its own.
"""

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import click
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from ruamel.yaml import YAML

from labkit.analysis.catalogue import shipped
from labkit.analysis.limit_kinds import COUNTED, LimitKind
from labkit.build.faults import faults
from labkit.build.scenario import schema as scenario_schema
from labkit.cli import cli
from labkit.i18n import DOMAIN
from labkit.tcp import stacks
from labkit.teach.assign import schema as assignment_schema

TOP = Path(__file__).parents[2]
SOURCE = TOP / "labkit"
LOCALE = SOURCE / "locale"
DEMO = TOP / "scripts/lib/demo.py"
"""The one script that students run."""
KEYWORDS = {"_": 1, "N_": 1, "ngettext": 2}
"""The functions whose first arguments are messages, and how many of them are."""
CLICK = ("core.py", "exceptions.py", "formatting.py", "parser.py", "types.py", "decorators.py")
"""The modules of click whose messages labkit shows."""

HEAD = """# A translation of labkit. scripts/translate updates this file.
msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: {plural}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""

Message = str | tuple[str, ...]


def messages() -> Iterator[tuple[Message, str]]:
    """Yield each message with the file that has it; plural forms are a tuple."""
    for path in (*sorted(SOURCE.rglob("*.py")), DEMO):
        yield from ((message, path.relative_to(TOP).as_posix()) for message in _calls(path))
    yield from (*_limits(COUNTED), *_rules(), *_faults(), *_commands(), *_data(), *_stacks(), *_schemas())
    for name in CLICK:
        path = Path(click.__file__).with_name(name)
        if path.is_file():
            yield from ((message, f"click/{name}") for message in _calls(path))


def _calls(path: Path) -> Iterator[Message]:
    """The messages in calls of a source. Babel's own extractor does not look into f-strings."""
    text = path.read_text("utf-8")
    for node in ast.walk(ast.parse(text)) if any(f"{word}(" in text for word in KEYWORDS) else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS:
            texts = [each.value for each in node.args[: KEYWORDS[node.func.id]] if isinstance(each, ast.Constant)]
            if len(texts) == KEYWORDS[node.func.id]:
                yield texts[0] if len(texts) == 1 else tuple(texts)


def _rules() -> Iterator[tuple[Message, str]]:
    for each in shipped():
        place = f"{each.predicate.__module__.replace('.', '/')}.py"
        title = (sys.modules[each.predicate.__module__].__doc__ or "").split("\n")[0].rstrip(".")
        reference = each.reference if "document" in each.reference else ""  # RFCs need no translation
        texts = (
            title,
            reference,
            each.message,
            *each.otherwise.values(),
            each.should_be,
            each.receiver,
            each.mend,
            each.explanation,
        )
        yield from ((text, place) for text in texts)
        yield from _limits(each.limits.values(), place)


def _limits(kinds: Iterable[LimitKind], place: str = "labkit/analysis/limit_kinds.py") -> Iterator[tuple[Message, str]]:
    for each in kinds:
        yield from (((each.one, each.many), place), (each.rest, place))


def _faults() -> Iterator[tuple[str, str]]:
    for each in faults():
        yield each.summary, "labkit/build/faults"


def _commands(group: click.Group = cli, place: str = "labkit/cli") -> Iterator[tuple[str, str]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield command.help or "", f"{place}/{name}.py" if group is cli else place
            if isinstance(command, click.Group):
                yield from _commands(command, f"{place}/{name}.py")


TEXTS = {"title", "summary", "part", "ask", "why", "look"}
"""The keys of scenarios and assignments whose values a reader sees."""


def _data() -> Iterator[tuple[str, str]]:
    for folder in ("build/scenarios", "teach/assign/shipped"):
        for path in sorted((SOURCE / folder).glob("*.yaml")):
            data = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
            # Deeper down, a text is what a scenario sends, or what a student hands in.
            for text in (data.get("text", ""), *_texts(data)):
                yield text, f"labkit/{folder}/{path.name}"


def _stacks() -> Iterator[tuple[str, str]]:
    """What stacks are called, but for the names of systems."""
    for name in stacks.names():
        title = stacks.load(name).title
        if not any(char.isdigit() for char in title):
            yield title, f"labkit/tcp/stacks/{name}.toml"


def _schemas() -> Iterator[tuple[str, str]]:
    """The descriptions in both schemas."""
    for module in (scenario_schema, assignment_schema):
        found: list[object] = [module.schema()]
        for value in found:
            if isinstance(value, dict):
                text = value.get("description")
                if isinstance(text, str):
                    yield text, f"{module.__name__.replace('.', '/')}.py"
                found += value.values()
            elif isinstance(value, list):
                found += value


def _texts(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, str(name))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, key)
    elif isinstance(value, str) and key in TEXTS:
        yield value


def template() -> Catalog:
    """All messages of labkit, each with the files that have it."""
    catalog = Catalog(project="labkit", charset="utf-8", fuzzy=False)
    for message, place in messages():
        if message:
            catalog.add(message, locations=[(place, None)])
    return catalog


def read(path: Path) -> Catalog:
    """A catalogue's source."""
    with path.open("rb") as file:
        return read_po(file, domain=DOMAIN)


def updated(path: Path, known: Catalog) -> Catalog:
    """A catalogue with the messages of `known`: new ones have no translation, others are gone."""
    catalog = read(path)
    catalog.update(known, no_fuzzy_matching=True, update_header_comment=False)
    return catalog


def source(catalog: Catalog) -> bytes:
    """A catalogue as a .po file."""
    out = BytesIO()
    write_po(out, catalog, width=120, sort_by_file=True, ignore_obsolete=True, include_lineno=False, omit_header=True)
    return HEAD.format(language=catalog.locale_identifier, plural=catalog.plural_forms).encode() + out.getvalue()


def compiled(catalog: Catalog) -> bytes:
    """A catalogue as a .mo file; messages without a translation are left out, and are shown in English."""
    out = BytesIO()
    # No date of today: the same source gives the same bytes.
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    write_mo(out, catalog)
    return out.getvalue()


def _forms(string: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return string if isinstance(string, tuple) else (string or "",)


def untranslated(catalog: Catalog, known: Catalog) -> list[str]:
    """The messages of `known` that a catalogue lacks."""
    missing = []
    for message in known:
        found = catalog.get(message.id)
        if message.id and (found is None or found.fuzzy or not all(_forms(found.string))):
            missing.append(message.id if isinstance(message.id, str) else message.id[0])
    return missing


def main() -> int:
    """Update and compile each catalogue; return 1 if a message lacks a translation."""
    parser = argparse.ArgumentParser(prog="scripts/translate")
    parser.add_argument("--fill", metavar="FILE", help="fill in the translations of a .po file")
    parser.add_argument("--language", default="zh_CN", help="the language of FILE")
    asked = parser.parse_args()
    known = template()
    lacking = 0
    for path in sorted(LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po")):
        catalog = updated(path, known)
        if asked.fill and path.parents[1].name == asked.language:
            for message in read(Path(asked.fill)):
                if message.id and message.string and (found := catalog.get(message.id)) is not None:
                    found.string = message.string
        path.write_bytes(source(catalog))
        path.with_suffix(".mo").write_bytes(compiled(catalog))
        missing = untranslated(catalog, known)
        for text in missing:
            print(f"{path.relative_to(TOP)}: no translation: {text!r}")
        lacking += len(missing)
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
