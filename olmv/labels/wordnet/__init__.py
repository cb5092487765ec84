"""Attributes from WordNet 3.0, which ships with olmv: no language model, no network, the same every time."""
