"""Adding labels to a model that an earlier run has tuned, and telling what became of the earlier ones."""
