"""The family of olmv-lite."""

from olmv.models.clip.own_family import OwnFamily
from olmv.models.lite.towers import LiteTowers

__all__ = ["FAMILY"]

FAMILY = OwnFamily(LiteTowers)
