"""The catalogue: one module for each family of rules, one decorated function for each rule (see `labkit.analysis.rule`)."""
