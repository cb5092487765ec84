"""Words: label lists, attribute books, templates, and the texts that a text tower encodes."""
