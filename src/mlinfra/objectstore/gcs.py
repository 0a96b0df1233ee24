"""Cloud Storage as obstore reaches it, without anything that lies around on this machine: no key file, no metadata."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import GCSStore

from mlinfra.errors import SpecError
from mlinfra.objectstore import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable

_VENDOR = "https://storage.googleapis.com"
# An emulator is reached without a proxy, and obstore leaves the system's alone for none but another one.
_DIRECT: Any = {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": "127.0.0.1,localhost"}
# obstore reads key files and variables of this machine before it asks for a token, and fails where it cannot read one:
# it knows few of Google's kinds. What is named here takes their place and is never used.
_NOBODY = Path(__file__).with_name("nobody")


@dataclass(frozen=True)
class GcsAccess:
    """How to reach Cloud Storage: `endpoint` only where it is not the vendor's own.

    `credentials` is asked for a token again when the one that it gave has expired. Times are in seconds; a transfer as
    a whole may take as long as it makes progress. A bucket's own key encrypts what is written into it.
    """

    credentials: Callable[[], Any]
    endpoint: str = ""
    connect_timeout: int = 10
    read_timeout: int = 60


def gcs_store(base: str, access: GcsAccess, key_of: Callable[[str, str], str], *, login: str = "") -> ObjectStore:
    """The store at `gs://bucket` or `gs://bucket/prefix`. Sends nothing.

    Cloud Storage takes a write over what was read by the object's generation, not by its etag.

    Raises:
        SpecError: that is no such address.
    """
    parts = urlsplit(base)
    if parts.scheme != "gs" or not parts.netloc:
        raise SpecError("not the address of a bucket", given=base, allowed="gs://bucket or gs://bucket/prefix")
    bucket = GCSStore(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config={
            "base_url": access.endpoint or _VENDOR,
            "application_credentials": str(_NOBODY / "user.json"),
            "service_account": str(_NOBODY / "account.json"),
            "skip_signature": False,
        },
        credential_provider=access.credentials,
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=access.read_timeout)},
        client_options={
            "allow_http": access.endpoint.startswith("http://"),
            "connect_timeout": f"{access.connect_timeout}s",
            "read_timeout": f"{access.read_timeout}s",
            "timeout": "1day",
            **(_DIRECT if access.endpoint.startswith("http://") else {}),
        },
    )
    return ObjectStore(bucket, base, key_of, login=login, mark="version")
