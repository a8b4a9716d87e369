"""Diagrams as the source of other programs."""
