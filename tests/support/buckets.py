"""A bucket on a local server that answers as S3 does."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from olmv.video.cloud_file import forget

__all__ = ["Bucket", "bucket"]


class Bucket:
    """A bucket with objects.

    Args:
        files: an s3fs file system.
        name: of the bucket.
    """

    def __init__(self, files: Any, name: str) -> None:
        self.files, self.name = files, name

    def put(self, path: Path, key: str) -> str:
        """Put a file in; return its address."""
        self.files.put_file(str(path), f"{self.name}/{key}")
        return f"s3://{self.name}/{key}"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Serve an empty bucket `films` on 127.0.0.1; the environment has its address and credentials."""
    pytest.importorskip("s3fs", reason="s3fs, of olmv[cloud], is not installed")
    server = pytest.importorskip("moto.server", reason="moto, which answers as S3 does, is not installed")
    from olmv.video import cloud

    served = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    _, port = served.get_host_and_port()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    cloud._file_system.cache_clear()
    files = cloud.cloud_file_system("s3://films")
    type(files).clear_instance_cache()
    cloud._file_system.cache_clear()
    files = cloud.cloud_file_system("s3://films")
    with urlopen(Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST")):
        pass  # what it holds is the process's
    files.mkdir("films")
    try:
        yield Bucket(files, "films")
    finally:
        forget()
        cloud._file_system.cache_clear()
        type(files).clear_instance_cache()
        served.stop()
