"""From similarities to decisions: pooling, logits, thresholds, explanations."""
