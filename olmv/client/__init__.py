"""Ask a server of `olmv serve` over HTTP: `olmv.Client`. Nothing here imports torch, but for explanations and embeddings."""
