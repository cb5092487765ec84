"""`olmv evaluate`: data sets' protocols, figures with intervals, the result folder and its page."""
