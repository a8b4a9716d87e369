"""Diagrams: text that other programs draw. `states` is the state machine, from the one table that everything moves by."""
