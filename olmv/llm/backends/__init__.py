"""The language models that olmv can ask, one module each."""
