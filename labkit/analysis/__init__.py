"""A capture becomes a verdict: conversations, what is known of their ends, rules, findings."""

EVERY_LIMIT = "all"
"""The word that names every kind of limit, as `--strict=all` does. It stands here because the commands load it at once."""
