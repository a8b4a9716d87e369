"""A scenario becomes a trace: its applications, two endpoints and the path between them, faults, files."""
