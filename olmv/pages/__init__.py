"""HTML pages that open from disk, and the pictures in them."""
