"""Put the results of several runs together."""
