"""Fill a folder that stays: all files of a set get their names, or none."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["filling_folder"]


@contextmanager
def filling_folder(folder: Path, *, last: str) -> Iterator[Path]:
    """Yield a working folder inside `folder` whose files move up when the block ends well, else vanish.

    For a folder that cannot be replaced (see `olmv.io.atomic.replacing_folder`): it may be a mounted disk, the user's
    own working folder, or hold other files. An OSError passes as it is.

    Args:
        folder: exists.
        last: the file that moves last; whoever finds it finds the others.
    """
    with tempfile.TemporaryDirectory(prefix=".olmv-", dir=folder) as work:
        yield Path(work)
        # backwards, so that the weights of a graph come before it
        paths = sorted(Path(work).iterdir(), reverse=True)
        for path in sorted(paths, key=lambda path: path.name == last):
            path.replace(folder / path.name)
