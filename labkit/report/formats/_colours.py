"""The colour of each severity, on a terminal."""

from labkit.analysis.rule import Severity

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
