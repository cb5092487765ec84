"""A library: what a model makes of many videos, on disk, to be searched and asked new labels without decoding."""
