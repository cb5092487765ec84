"""The Moji world: drawn clips whose labels are known."""
