"""A package that is missing is named, with what brings it."""

import sys

import pytest

from olmv.errors import MissingDependencyError
from olmv.io.packages import require


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingDependencyError) as caught:
        require("no_such_package", extra="evaluate", need="fitting a calibration")
    told = "fitting a calibration needs no_such_package; install it: pip install 'olmv[evaluate]'"
    assert str(caught.value) == told


def test_a_package_that_is_there_is_not_imported() -> None:
    there = "this" not in sys.modules
    require("this", extra="evaluate", need="a poem")
    assert there == ("this" not in sys.modules)
