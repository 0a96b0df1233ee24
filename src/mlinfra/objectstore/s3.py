"""S3 as obstore reaches it, without anything that lies around on this machine: no profile, no metadata address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import S3Store

from mlinfra.errors import SpecError
from mlinfra.objectstore import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class S3Access:
    """How to reach S3: `endpoint` only where it is not the vendor's own, `key` the KMS key that encrypts.

    `credentials` is asked for keys again when those that it gave have expired. Times are in seconds; a transfer as a
    whole may take as long as it makes progress.
    """

    region: str
    credentials: Callable[[], Any]
    endpoint: str = ""
    key: str = ""
    connect_timeout: int = 10
    read_timeout: int = 60


def s3_store(base: str, access: S3Access, key_of: Callable[[str, str], str], *, login: str = "") -> ObjectStore:
    """The store at `s3://bucket` or `s3://bucket/prefix`. Sends nothing.

    Raises:
        SpecError: that is no such address.
    """
    parts = urlsplit(base)
    if parts.scheme != "s3" or not parts.netloc:
        raise SpecError("not the address of a bucket", given=base, allowed="s3://bucket or s3://bucket/prefix")
    settings: Any = {"region": access.region, "checksum_algorithm": "sha256"}
    if access.endpoint:
        settings["endpoint"] = access.endpoint
    if access.key:
        settings |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": access.key, "sse_bucket_key_enabled": True}
    bucket = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=settings,
        credential_provider=access.credentials,
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=access.read_timeout)},
        client_options={
            "allow_http": access.endpoint.startswith("http://"),
            "connect_timeout": f"{access.connect_timeout}s",
            "read_timeout": f"{access.read_timeout}s",
            "timeout": "1day",
        },
    )
    return ObjectStore(bucket, base, key_of, login=login)
