"""Run verbs on many machines, or on one in several processes, by Ray (`pip install 'olmv[ray]'`)."""
