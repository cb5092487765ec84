"""Search a library: `olmv search`, its rows and its page."""
