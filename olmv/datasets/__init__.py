"""Where videos and their labels come from: manifests and benchmarks."""
