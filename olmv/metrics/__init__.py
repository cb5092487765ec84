"""Figures of predictions against the truth, in plain numpy; each is computed here and nowhere else."""
