"""Ask a server of `olmv serve` over HTTP."""
