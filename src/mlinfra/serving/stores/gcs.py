"""Cloud Storage by its JSON API, as the service account that the metadata server knows.

`objects.insert` of the Cloud Storage JSON API, `uploadType=media`; tokens as `Authenticate workloads to Google Cloud
APIs using service accounts` of Compute Engine's documentation has them.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from mlinfra.errors import SpecError
from mlinfra.runner.problem import DENIED, RunnerError
from mlinfra.serving.stores import request

if TYPE_CHECKING:
    from collections.abc import Mapping

_API = "https://storage.googleapis.com"
_METADATA = "metadata.google.internal"
_TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105  where one is asked for


class GcsStore:
    """A prefix in a bucket."""

    def __init__(self, url: str, prefix: str, key: str, token: request.Renewed[str] | None) -> None:
        self._url = url
        self._prefix = f"{prefix}/" if prefix else ""
        self._key = {"kmsKeyName": key} if key else {}
        self._token = token

    def put(self, path: str, content: bytes) -> None:
        """Write an object below the prefix. Raises RunnerError."""
        query = urlencode({"uploadType": "media", "name": f"{self._prefix}{path}", **self._key})
        headers = {"Authorization": f"Bearer {self._token.get()}"} if self._token else {}
        request.put("POST", f"{self._url}?{query}", content, headers)


def gcs_store(rest: str, key: str, environ: Mapping[str, str]) -> GcsStore:
    """The store behind `gs://BUCKET/PREFIX`."""
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise SpecError("an address of Cloud Storage names a bucket", given=f"gs://{rest}")
    emulator, metadata = environ.get("STORAGE_EMULATOR_HOST", ""), environ.get("GCE_METADATA_HOST", "")
    api = emulator if not emulator or "://" in emulator else f"http://{emulator}"
    url = f"{(api or _API).rstrip('/')}/upload/storage/v1/b/{quote(bucket)}/o"
    token = None if emulator and not metadata else request.Renewed(partial(_token, metadata or _METADATA))
    return GcsStore(url, prefix, key, token)


def _token(metadata: str) -> tuple[str, float]:
    told = request.ask(f"http://{metadata}{_TOKEN_PATH}", {"Metadata-Flavor": "Google"})
    if not told.get("access_token"):
        raise RunnerError("the metadata server gave no token", DENIED)
    return str(told["access_token"]), time.time() + float(told.get("expires_in", 0))
