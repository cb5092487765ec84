"""What a user or a reviewer runs to measure olmv."""
