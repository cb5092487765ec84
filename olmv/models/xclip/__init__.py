"""X-CLIP (arXiv 2208.02816)."""
