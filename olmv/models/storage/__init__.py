"""Model folders and checkpoints: written, read, checked, brought up to date."""
