"""What training reads: examples of every source, decoded, augmented, cached."""
