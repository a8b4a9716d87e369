"""The compiled engine: decoding, tracking and rules from the interpreter's source, as machine code."""

AUTO, INTERPRETED, COMPILED = "auto", "interpreted", "compiled"
ENGINES = (AUTO, INTERPRETED, COMPILED)
"""The values of `engine` in `labkit.analysis.native.engine`."""
