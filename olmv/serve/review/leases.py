"""Who has been given which video: two reviewers at once are asked about different ones."""

from collections.abc import Callable

__all__ = ["LEASE_S", "Leases"]

LEASE_S = 120.0
"""So long nobody else is asked about a video that a reviewer has been given."""


class Leases:
    """Videos that wait for somebody's verdict; in memory alone, for a video that is asked about twice costs little.

    Args:
        clock: seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._leases: dict[str, dict[int, tuple[str, float]]] = {}

    def give(self, label: str, place: int, reviewer: str) -> None:
        """Hold the video at `place` for a reviewer."""
        self._leases.setdefault(label, {})[place] = reviewer, self._clock() + LEASE_S

    def take(self, label: str, place: int) -> None:
        """Hold it no longer: a verdict came."""
        self._leases.get(label, {}).pop(place, None)

    def held(self, label: str, reviewer: str) -> set[int]:
        """Return the places of videos that others hold; what was held for too long is forgotten."""
        now = self._clock()
        kept = {place: lease for place, lease in self._leases.get(label, {}).items() if lease[1] > now}
        self._leases[label] = kept
        return {place for place, (holder, _) in kept.items() if holder != reviewer}

    def forget(self, label: str) -> None:
        """Hold no video of a label."""
        self._leases.pop(label, None)
