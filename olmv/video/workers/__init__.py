"""Decoding in processes with limits, that a bad file cannot take down."""
