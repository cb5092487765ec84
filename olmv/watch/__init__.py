"""Live sources, watched: when each label begins and ends, as events; `olmv watch`."""
