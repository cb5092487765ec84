"""The family of olmv-mini."""
