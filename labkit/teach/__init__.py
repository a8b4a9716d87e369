"""Material for classes: lessons, diagrams, examples, and an individual capture for each student."""
