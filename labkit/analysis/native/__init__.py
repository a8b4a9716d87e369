"""The compiled engine: the same source of decoding, tracking and rules as the interpreter's, as machine code."""

AUTO, INTERPRETED, COMPILED = "auto", "interpreted", "compiled"
ENGINES = (AUTO, INTERPRETED, COMPILED)
"""What may be asked for to judge a capture; `labkit.analysis.native.engine` has them."""
