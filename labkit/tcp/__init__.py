"""TCP as values (sequence numbers, segments, options, states, notation), and as a stack without I/O (`endpoint`)."""
