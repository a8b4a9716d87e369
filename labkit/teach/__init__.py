"""What classes use: lessons, diagrams, examples, and a capture for each student."""
