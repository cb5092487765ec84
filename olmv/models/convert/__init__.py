"""Convert checkpoints of other projects into model folders."""
