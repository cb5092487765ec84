"""The protocol `timed`: segments and curves of `olmv predict --timeline`, beside what is true when."""
