"""Files that are there whole, rows that survive a kill, paths, the network."""
