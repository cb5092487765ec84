"""Two towers of a CLIP and a temporal module over them."""
