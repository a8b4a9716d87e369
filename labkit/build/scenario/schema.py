"""The JSON schema of scenarios. With it an editor completes keys, describes them, and marks errors.

The model generates the schema. This module adds the short forms (`- client: connect`, `send: 99`, `exchange: http`, `vlan: 7`),
which the model cannot describe. The schema accepts every scenario that labkit accepts, and some that labkit rejects.
"""

import ast
from collections.abc import Iterator
from inspect import cleandoc, getsource
from itertools import pairwise
from textwrap import dedent
from typing import Any

from labkit.build.scenario.fields import Model
from labkit.build.scenario.steps import MAIN

DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schema() -> Schema:
    """The schema as JSON values."""
    from labkit.build.scenario.model import ScenarioModel

    found = described(ScenarioModel)
    known = found["$defs"]
    del known["Send"]["properties"]["reply"]  # only code has functions
    _action(known["Action"])
    _exchange(known["Exchange"])
    for name, words in (("Connect", ("http", "dns")), ("Send", ("http", "dns"))):
        for word in words:
            _or_nothing(known[name]["properties"], word)
    _one_of(known["Step"])
    _tags(found["properties"]["vlan"])
    _without_none(found)
    return {"$schema": DRAFT, **found, "title": "labkit scenario"}


def described(model: type[Model]) -> Schema:
    """The schema that pydantic makes of a model, with the text below each field as its description.

    Pydantic can read these texts itself, but would at every start, for a third of the time that the models take to load.
    """
    found: Schema = model.model_json_schema(mode="validation")
    models = {each.__name__: each for each in _below(Model)}
    for name, part in [(model.__name__, found), *found.get("$defs", {}).items()]:
        for each in reversed(models[name].__mro__) if name in models else ():
            if issubclass(each, Model):
                for field, text in _texts(each):
                    part["properties"][models[name].model_fields[field].alias or field]["description"] = text
    return found


def _below(model: type[Model]) -> Iterator[type[Model]]:
    for each in model.__subclasses__():
        yield each
        yield from _below(each)


def _texts(model: type[Model]) -> Iterator[tuple[str, str]]:
    """Yield the fields of a model that have a text, which stands below them."""
    (definition,) = ast.parse(dedent(getsource(model))).body
    for pair in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                yield field, cleandoc(text)


def _action(action: Schema) -> None:
    """`connect`, `send: 99` and `send: {octets: 99}`."""
    verbs = action["properties"]
    for verb, details in verbs.items():
        form = _inner(details)
        forms = [form] if verb in MAIN else [form, {"type": "null"}]
        if verb in MAIN:
            forms.append({"type": ["string", "number"], "description": f"{MAIN[verb]}"})
        verbs[verb] = {"anyOf": forms, **_described(details)}
    bare = {"enum": [verb for verb in verbs if verb not in MAIN]}
    _one_of(action)
    _either(action, bare)


def _exchange(exchange: Schema) -> None:
    """`http`, `{http: }` and `{http: {path: /}}`."""
    for protocol in ("http", "smtp", "dns"):
        _or_nothing(exchange["properties"], protocol)
    _either(exchange, {"enum": ["http", "smtp", "dns"]})


def _tags(vlan: Schema) -> None:
    """One tag or several, each a number or a mapping."""
    tag = {"anyOf": [{"$ref": "#/$defs/VlanModel"}, {"type": "integer", "minimum": 0, "maximum": 4095}]}
    description = _described(vlan)
    vlan.clear()
    vlan.update(description)
    vlan["anyOf"] = [*tag["anyOf"], {"type": "array", "items": tag, "minItems": 1, "maxItems": 8}]


def _either(mapping: Schema, short: Schema) -> None:
    """Let a mapping's schema accept a short form too."""
    long = dict(mapping)
    mapping.clear()
    mapping.update({"anyOf": [short, long], **_described(long)})


def _or_nothing(properties: Schema, name: str) -> None:
    """Let a key have no value."""
    details = properties[name]
    properties[name] = {"anyOf": [_inner(details), {"type": "null"}], **_described(details)}


def _one_of(mapping: Schema) -> None:
    """Require exactly one key."""
    mapping.update(minProperties=1, maxProperties=1)


def _inner(details: Schema) -> Schema:
    """The schema of an optional value that is present."""
    forms = [form for form in details.get("anyOf", [details]) if form.get("type") != "null"]
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _described(details: Schema) -> Schema:
    return {key: details[key] for key in ("description",) if key in details}


def _without_none(node: Any) -> None:
    """Remove defaults, `null` for absent keys, and titles that repeat the key."""
    if isinstance(node, list):
        for each in node:
            _without_none(each)
    elif isinstance(node, dict):
        if "default" in node:
            del node["default"]
        properties = node.get("properties")
        for each in properties.values() if isinstance(properties, dict) else ():
            each.pop("title", None)
            forms = each.get("anyOf", [])
            # Keep the `null` of the short forms. Pydantic's own `null` has a default.
            if "default" in each and {"type": "null"} in forms:
                forms.remove({"type": "null"})
            if isinstance(forms, list) and len(forms) == 1:
                each.pop("anyOf")
                each.update({key: value for key, value in forms[0].items() if key not in each})
        for key, each in node.items():
            if key != "examples":
                _without_none(each)
