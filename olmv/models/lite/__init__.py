"""The family of olmv-lite."""
