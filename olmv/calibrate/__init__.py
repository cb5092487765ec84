"""`olmv calibrate`: thresholds and calibrated probabilities, from predictions and what is true of their videos."""
