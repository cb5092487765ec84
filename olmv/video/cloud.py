"""Objects in S3 and Google Cloud Storage, by addresses such as `s3://bucket/clips/a.mp4`.

Credentials and endpoints come from the environment alone, as the clouds' own tools read them (`AWS_ACCESS_KEY_ID`,
`AWS_PROFILE`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, ...).
"""

from functools import lru_cache
from typing import Any

from olmv.errors import reason
from olmv.io.packages import require

__all__ = ["check_cloud", "cloud_file_system", "cloud_reason", "is_cloud"]

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_LIMITS: dict[str, dict[str, Any]] = {"s3": {"config_kwargs": {"connect_timeout": 10, "retries": {"max_attempts": 3}}}}


def is_cloud(path: str) -> bool:
    """Tell whether a path is the address of an object or a folder in a cloud."""
    scheme, mark, _ = path.partition("://")
    return bool(mark) and scheme in _PACKAGES


def check_cloud(address: str) -> None:
    """Check that the package of a cloud is installed, without importing it.

    Raises:
        MissingDependencyError: it is not.
    """
    scheme = address.partition("://")[0]
    require(_PACKAGES[scheme], extra="cloud", need=f"{scheme}://")


def cloud_file_system(address: str) -> Any:
    """Return the fsspec file system that an address is in; nothing is asked of the cloud.

    Raises:
        MissingDependencyError: the package of this cloud is not installed.
    """
    check_cloud(address)
    return _file_system(address.partition("://")[0])


@lru_cache
def _file_system(scheme: str) -> Any:
    import fsspec

    # listings are asked anew, by whoever asks
    return fsspec.filesystem(scheme, use_listings_cache=False, **_LIMITS.get(scheme, {}))


def cloud_reason(address: str, failure: BaseException) -> str:
    """Say in a few words, with the remedy, why the cloud refused."""
    name, text = type(failure).__name__, str(failure)
    bucket = address.partition("://")[2].partition("/")[0]
    if "bucket does not exist" in text or "NoSuchBucket" in text:
        return f"there is no bucket {bucket}; check the name"
    if isinstance(failure, FileNotFoundError):
        return "there is no such object; check the address"
    if "Credentials" in name or "credentials" in text.lower():
        return "there are no credentials; set them in the environment, as the cloud's own tools read them"
    if isinstance(failure, PermissionError):
        return f"access is denied ({reason(failure)}); check the credentials in the environment"
    return f"{reason(failure)}; check the network and the address"
