"""The terminal colour of each severity."""

from labkit.analysis.rule import Severity

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
