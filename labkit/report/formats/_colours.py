"""The terminal colour of each severity."""

from labkit.analysis.severity import Severity

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
