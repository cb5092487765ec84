"""The family of olmv-mini."""

from olmv.models.clip.own_family import OwnFamily
from olmv.models.mini.towers import MiniTowers

__all__ = ["FAMILY"]

FAMILY = OwnFamily(MiniTowers)
