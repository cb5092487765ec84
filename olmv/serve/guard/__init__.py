"""What keeps the service whole: who may ask, how much they may send, which files and addresses are reached."""
