"""Training: data, objectives, interpolation of weights, and the loop over them."""
