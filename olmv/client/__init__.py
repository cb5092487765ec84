"""Ask a server of `olmv serve` over HTTP: `olmv.Client`, which needs no torch but for explanations and embeddings."""
