"""The HTTP API: a module for each kind of question, and what goes in and out of them."""
