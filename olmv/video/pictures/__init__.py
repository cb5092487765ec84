"""Photos and animations, read as videos."""
