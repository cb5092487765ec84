"""Prompts that a language model writes in vectors (arXiv 2407.09073)."""
