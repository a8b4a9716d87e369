"""What users see: verdicts in every output format, annotated captures, tables of segments."""
