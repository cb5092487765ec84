"""Published data sets in the layouts that they come in."""
