"""Blob storage as obstore reaches it: by tokens of Microsoft Entra alone, without keys or anything of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import AzureStore

from mlinfra.errors import SpecError
from mlinfra.objectstore import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable

_HOST = re.compile(r"(?P<account>[a-z0-9]{3,24})\.blob\.[a-z0-9.]+")
# An emulator is reached without a proxy, and obstore leaves the system's alone for none but another one.
_DIRECT: Any = {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": "127.0.0.1,localhost"}


@dataclass(frozen=True)
class AzureAccess:
    """How to reach blob storage: `endpoint` only where accounts have no hosts of their own, but lie below one address.

    `credentials` is asked for a token again when the one that it gave has expired; `authority` is a file with the
    certificate authority to trust. Times are in seconds; a transfer as a whole may take as long as it makes progress.
    """

    credentials: Callable[[], Any]
    endpoint: str = ""
    authority: str = ""
    connect_timeout: int = 10
    read_timeout: int = 60


def azure_store(base: str, access: AzureAccess, key_of: Callable[[str, str], str], *, login: str = "") -> ObjectStore:
    """The store at `https://ACCOUNT.blob.core.windows.net/CONTAINER`, or at a prefix in it. Sends nothing.

    Raises:
        SpecError: that is no such address.
    """
    parts = urlsplit(base)
    found = _HOST.fullmatch(parts.netloc)
    container, _, prefix = parts.path.strip("/").partition("/")
    if parts.scheme != "https" or found is None or not container:
        raise SpecError(
            "not the address of a container of blobs",
            given=base,
            allowed="https://ACCOUNT.blob.core.windows.net/CONTAINER, and a prefix behind it",
        )
    endpoint = f"{access.endpoint.rstrip('/')}/{found['account']}" if access.endpoint else f"https://{parts.netloc}"
    store = AzureStore(
        container,
        prefix=prefix or None,
        config={"account_name": found["account"], "endpoint": endpoint, "skip_signature": False},
        credential_provider=access.credentials,
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=access.read_timeout)},
        client_options={
            "allow_http": access.endpoint.startswith("http://"),
            "connect_timeout": f"{access.connect_timeout}s",
            "read_timeout": f"{access.read_timeout}s",
            "timeout": "1day",
            **({"root_certificate": Path(access.authority).read_bytes()} if access.authority else {}),
            **(_DIRECT if access.endpoint else {}),
        },
    )
    return ObjectStore(store, base, key_of, login=login)
