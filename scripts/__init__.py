"""Scripts for those who work on olmv; none of them is part of the package."""
