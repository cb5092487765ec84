"""`olmv train`: data, losses, interpolation of weights, and the loop over them."""
