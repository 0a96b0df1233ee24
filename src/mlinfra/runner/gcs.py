"""Google Cloud Storage by its JSON API: the job's own identity, no library."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from mlinfra.runner import web
from mlinfra.runner.digest import md5_of
from mlinfra.runner.problem import DAMAGED, MISSING, WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STORE = "https://storage.googleapis.com"
_METADATA = "metadata.google.internal"
_TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105  where one is asked for
_SPARE = 60  # s before its end at which a token is renewed


class Place(NamedTuple):
    """A bucket and a name in it, which may be that of an object or the beginning of several."""

    bucket: str
    name: str

    def below(self, path: str) -> Place:
        """The object `path` under this place."""
        return Place(self.bucket, f"{self.name.rstrip('/')}/{path}" if self.name else path)


def place_of(uri: str) -> Place:
    """What a `gs://bucket/name` names. Raises RunnerError where it names no bucket."""
    bucket, _, name = uri[len("gs://") :].partition("/")
    if not bucket:
        raise RunnerError(f"{uri} names no bucket", WRONG)
    return Place(bucket, name)


def exists(place: Place) -> bool:
    """Is there an object of exactly this name?"""
    if not place.name or place.name.endswith("/"):
        return False
    try:
        web.send("GET", _object(place), headers=identity())
    except RunnerError as problem:
        if problem.exit_code == MISSING:
            return False
        raise
    return True


def names_below(place: Place) -> Iterator[str]:
    """The paths of all objects under a place, from there."""
    prefix = f"{place.name.rstrip('/')}/" if place.name else ""
    token = ""
    while True:
        query = urlencode({"prefix": prefix, "fields": "items(name),nextPageToken", "pageToken": token})
        page = _json(web.send("GET", f"{_api()}/storage/v1/b/{quote(place.bucket)}/o?{query}", headers=identity()))
        names = (item["name"][len(prefix) :] for item in page.get("items", ()))
        yield from (name for name in names if name and not name.endswith("/"))
        token = page.get("nextPageToken", "")
        if not token:
            return


def download(place: Place, target: Path) -> None:
    """Bring one object into a file."""
    web.download(f"{_object(place)}?alt=media", target, identity())


def upload(file: Path, place: Place) -> None:
    """Send one file into an object and compare what arrived. Raises RunnerError where it is not the same."""
    query = urlencode({"uploadType": "media", "name": place.name})
    headers = {**identity(), "Content-Type": "application/octet-stream"}
    answer = _json(web.send("POST", f"{_api()}/upload/storage/v1/b/{quote(place.bucket)}/o?{query}", file, headers))
    digest = md5_of(file)
    if answer.get("md5Hash", digest) != digest:
        raise RunnerError(f"gs://{place.bucket}/{place.name} is not what was sent: {file}", DAMAGED)


def _object(place: Place) -> str:
    return f"{_api()}/storage/v1/b/{quote(place.bucket)}/o/{quote(place.name, safe='')}"


def _api() -> str:
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    if not emulator:
        return _STORE
    return (emulator if "://" in emulator else f"http://{emulator}").rstrip("/")


_known: dict[str, Any] = {}  # the token and its end; one process, one identity


def identity() -> dict[str, str]:
    """The header with this machine's token; none for an emulator that has no metadata server beside it."""
    host = os.environ.get("GCE_METADATA_HOST", "")
    if os.environ.get("STORAGE_EMULATOR_HOST") and not host:
        return {}
    if _known.get("until", 0.0) < time.monotonic():
        url = f"http://{host or _METADATA}{_TOKEN_PATH}"
        answer = _json(web.send("GET", url, headers={"Metadata-Flavor": "Google"}))
        _known["token"] = answer["access_token"]
        _known["until"] = time.monotonic() + float(answer.get("expires_in", 0)) - _SPARE
    return web.bearer(_known["token"])


def _json(answer: bytes) -> dict[str, Any]:
    try:
        document = json.loads(answer)
    except ValueError as exc:
        raise RunnerError("Cloud Storage answered with something that is not JSON", DAMAGED) from exc
    return document if isinstance(document, dict) else {}
