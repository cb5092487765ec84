"""The gate that every attribute passes before it may score a video."""
