"""The JSON schema of assignments, for editors. A drawn value, `$name`, may stand in the place of any other one."""

from typing import Any

from labkit.build.scenario.schema import DRAFT, described
from labkit.build.scenario.schema import schema as scenario_schema

DRAWN = {"type": "string", "pattern": r"^\$[a-z][a-z0-9-]*$"}


def schema() -> dict[str, Any]:
    """The schema as JSON values. It accepts every assignment that labkit accepts, and some that labkit rejects."""
    from labkit.teach.assign.model import AssignmentModel

    found = described(AssignmentModel)
    for name in [*found["$defs"]]:
        if name not in {"PartModel", "ProgramModel", "QuestionModel", "LateModel", "HandInModel", "SolutionModel"}:
            del found["$defs"][name]
    scenario = scenario_schema()
    found["$defs"] |= scenario.pop("$defs")
    # An assignment's scenario takes the assignment's name.
    scenario["required"] = [each for each in scenario["required"] if each != "name"]
    scenario.pop("$schema")
    found["$defs"]["Scenario"] = {**scenario, "title": "labkit scenario"}
    for place in (found, found["$defs"]["HandInModel"]):
        place["properties"]["scenario"].pop("type")
        place["properties"]["scenario"]["anyOf"] = [{"type": "string"}, {"$ref": "#/$defs/Scenario"}]
    _allow_drawn(found["properties"])
    for each in found["$defs"].values():
        _allow_drawn(each.get("properties", {}))
    return {"$schema": DRAFT, **found, "title": "labkit assignment"}


def _allow_drawn(properties: dict[str, Any]) -> None:
    for name, value in properties.items():
        value.pop("default", None)
        value.pop("title", None)
        if isinstance(value.get("items"), dict) and "$ref" not in value["items"]:
            value["items"] = {"anyOf": [value["items"], DRAWN]}
        if value.get("type") != "object" and "$ref" not in value:
            description = {"description": value.pop("description")} if "description" in value else {}
            properties[name] = {**description, "anyOf": [value, DRAWN]}
