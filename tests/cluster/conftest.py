"""A Ray of two cores, started once for all tests of the cluster, and ended after them: others count processes."""

import os
from collections.abc import Iterator

import pytest

from olmv.cluster.engine import RayEngine, RayOptions, guard


@pytest.fixture(scope="package")
def _ray() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    guard()
    ray = pytest.importorskip("ray", reason="Ray, of olmv[ray], is not installed")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture
def engine(_ray: None) -> Iterator[RayEngine]:
    """Two actors."""
    with RayEngine(RayOptions(actors=2), workers=1) as opened:
        yield opened
