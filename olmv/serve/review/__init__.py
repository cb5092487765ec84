"""Review: a queue around the threshold, verdicts in SQLite, and what they say of precision and recall."""
