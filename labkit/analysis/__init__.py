"""A capture becomes a verdict: conversations, what is known of their ends, rules, findings."""
