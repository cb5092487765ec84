"""The laboratory, and the making of the models and data that ship."""
