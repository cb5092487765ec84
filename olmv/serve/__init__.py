"""`olmv serve`: the page and the HTTP service, one process with a warm model."""
