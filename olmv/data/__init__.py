"""Where videos and their labels come from: manifests, benchmarks, the Moji world."""
