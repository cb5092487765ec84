"""Files that clients may name: those under one folder, and nothing that leads out of it."""

import os
import re
import stat
from pathlib import Path

from olmv.errors import InputError
from olmv.io.atomic import os_reason
from olmv.serve.guard.answers import RefusedRequestError

__all__ = ["Root"]

_LONGEST = 4096
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Root:
    """The folder whose files clients may name.

    Args:
        path: the folder; None where no path may be named.

    Raises:
        InputError: it is no folder.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path: Path | None = None
        """The folder, without links; None where no path may be named."""
        if path is None:
            return
        try:
            real = Path(path).resolve(strict=True)
            is_folder = real.is_dir()
        except (OSError, ValueError, RuntimeError) as failure:
            reason = os_reason(failure) if isinstance(failure, OSError) else str(failure)
            raise InputError(f"{path}: cannot be served ({reason}); name a folder of videos", option="root") from None
        if not is_folder:
            raise InputError(f"{path}: is no folder; name a folder of videos", option="root")
        self.path = real
        self._names = (real, Path(path).absolute())

    def resolve(self, name: str) -> Path:
        """Return the file that a client names.

        Args:
            name: relative to the folder, or absolute and in it.

        Returns:
            its path without links, a regular file under the folder.

        Raises:
            RefusedRequestError: 403 where no path may be named; else 404, the same for what is not there and for what
                may not be seen.
        """
        if self.path is None:
            raise RefusedRequestError(403, "no paths are read here; send the file itself")
        try:
            if not name or len(name) > _LONGEST or _CONTROL.search(name) or ".." in Path(name).parts:
                raise _missing()
            real = Path(os.path.realpath(self.path / self._relative(name), strict=True))
            if self.path not in real.parents or not stat.S_ISREG(real.lstat().st_mode):
                raise _missing()
        except (OSError, ValueError):  # ValueError: halves of characters, a NUL
            raise _missing() from None
        return real

    def _relative(self, name: str) -> Path:
        """Return a name relative to the folder; absolute names may go by its links or without."""
        path = Path(name)
        if not path.is_absolute():
            return path
        for folder in self._names:
            if folder in path.parents:
                return path.relative_to(folder)
        raise _missing()


def _missing() -> RefusedRequestError:
    return RefusedRequestError(404, "no such file is served; name one relative to the folder of this service")
