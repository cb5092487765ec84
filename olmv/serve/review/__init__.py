"""Review: a queue of what is nearest to its threshold, verdicts in SQLite, and what they say of the labels."""
