"""Checkpoints of other projects, made into model folders."""
