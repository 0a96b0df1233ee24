"""Blobs copied inside the service: the source is an address of the emulator's own, read in the caller's name.

By the REST reference's "Copy Blob", "Copy Blob From URL", "Put Blob From URL" and "Put Block From URL".
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from mlinfra.emulator.azure.storage import access, conditions, media, refusals
from mlinfra.emulator.azure.storage.names import located
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.objects.streams import pieces

if TYPE_CHECKING:
    from mlinfra.emulator.azure.storage.records import Blob
    from mlinfra.emulator.azure.storage.storage import Storage
    from mlinfra.emulator.azure.storage.visit import Visit
    from mlinfra.emulator.objects.drafts import Draft

SOURCE = "x-ms-copy-source"
_NOT_FOUND = 404


def source(storage: Storage, visit: Visit) -> Blob:
    """The blob that a request copies. Hold the shelf's lock as long as its bytes are needed.

    Raises:
        Refusal: CannotVerifyCopySource; a condition on the source does not hold.
    """
    url = visit.header(SOURCE)
    try:
        at = located(url)
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        told = visit.header("x-ms-copy-source-authorization") or visit.header("Authorization")
        storage.access(query, told, at).allow(access.READ, at)
        return storage.shelf.get(at, conditions.of_headers(visit.http.headers, "x-ms-source-"))
    except Refusal as exc:
        if exc.code == "ConditionNotMet":
            message = "The source condition specified using HTTP conditional header(s) is not met."
            raise refusals.refusal(412, "SourceConditionNotMet", message) from None
        status = _NOT_FOUND if exc.status == _NOT_FOUND else 403
        raise refusals.copy_source(status, exc.message) from None


def receive(storage: Storage, visit: Visit, draft: Draft) -> Blob:
    """Read the source, or the range of it that is asked for, into a draft."""
    with storage.shelf.lock:
        blob = source(storage, visit)
        file = blob.file.open("rb")
    with file:
        begin, end = media.span(visit.header("x-ms-source-range"), blob.size)
        file.seek(begin)
        draft.add(pieces(file, end - begin))
    told = visit.header("x-ms-source-content-md5")
    if told and told != draft.md5:
        raise refusals.damaged("Md5", told, draft.md5)
    return blob
