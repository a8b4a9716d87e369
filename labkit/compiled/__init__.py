"""The compiled engine: the same source of decoding, tracking and rules as the interpreter's, as machine code."""
