"""Ask for packages that only one verb needs, and say which extra brings them."""

import importlib.util

from olmv.errors import MissingDependencyError

__all__ = ["installed", "require"]


def installed(package: str) -> bool:
    """Tell whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def require(package: str, *, extra: str, need: str) -> None:
    """Check that an optional package is installed, without importing it.

    Args:
        package: the name that is imported, such as `sklearn`.
        extra: the extra of olmv that brings it, such as `evaluate`.
        need: who needs it, as the message begins: "fitting a calibration".

    Raises:
        MissingDependencyError: it is not; the message says what to install.
    """
    if not installed(package):
        raise MissingDependencyError(f"{need} needs {package}; install it: pip install 'olmv[{extra}]'")
