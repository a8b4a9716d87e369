"""A validator of JSON Schema, as far as labkit's schemas use it."""

import re
from typing import Any

TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def fits(value: Any, node: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Whether a value is valid by a part of a schema, by the keywords of JSON Schema that labkit's schemas use."""
    if "$ref" in node:
        return fits(value, whole["$defs"][node["$ref"].removeprefix("#/$defs/")], whole)
    if "anyOf" in node:
        return any(fits(value, each, whole) for each in node["anyOf"])
    if "const" in node:
        return bool(value == node["const"])
    if "enum" in node:
        return value in node["enum"]
    kinds = node.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(isinstance(value, TYPES[kind]) and (kind == "boolean" or value is not True) for kind in kinds):
        return False
    if isinstance(value, str):
        return re.search(node.get("pattern", ""), value) is not None
    if isinstance(value, dict):
        return _mapping_fits(value, node, whole)
    if isinstance(value, list):
        return len(value) >= node.get("minItems", 0) and all(fits(each, node.get("items", {}), whole) for each in value)
    if isinstance(value, int | float) and value <= node.get("exclusiveMinimum", value - 1):
        return False
    return not isinstance(value, int | float) or node.get("minimum", 0) <= value <= node.get("maximum", value)


def _mapping_fits(value: dict[str, Any], node: dict[str, Any], whole: dict[str, Any]) -> bool:
    known = node.get("properties", {})
    if not node.get("additionalProperties", True) and not set(value) <= set(known):
        return False
    if not set(node.get("required", [])) <= set(value):
        return False
    if not node.get("minProperties", 0) <= len(value) <= node.get("maxProperties", len(value)):
        return False
    return all(fits(each, known[key], whole) for key, each in value.items() if key in known)
