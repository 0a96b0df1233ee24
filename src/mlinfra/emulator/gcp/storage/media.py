"""The bytes of an object on their way out: whole or a range, with the headers that both APIs send."""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

from werkzeug.http import http_date
from werkzeug.wrappers import Response

from mlinfra.emulator.gcp.storage import refusals
from mlinfra.emulator.objects.streams import Part

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.storage.records import Stored

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_OWN = {
    "cacheControl": "Cache-Control",
    "contentDisposition": "Content-Disposition",
    "contentEncoding": "Content-Encoding",
    "contentLanguage": "Content-Language",
}


def head(stored: Stored, etag: str) -> Response:
    """The answer without bytes."""
    response = Response(b"", headers=_headers(stored, etag), content_type=stored.content_type)
    response.content_length = stored.size
    return response


def answer(stored: Stored, file: IO[bytes], etag: str, asked: str) -> Response:
    """The answer with the bytes of an open file, which it closes; `asked` is the Range header.

    Raises:
        Refusal: the range lies outside.
    """
    try:
        begin, end = _span(asked, stored.size)
    except BaseException:
        file.close()
        raise
    response = Response(Part(file, begin, end - begin), headers=_headers(stored, etag), direct_passthrough=True)
    response.content_type = stored.content_type
    response.content_length = end - begin
    if _RANGE.fullmatch(asked):
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{stored.size}"
    return response


def _headers(stored: Stored, etag: str) -> dict[str, str]:
    own = {header: str(stored.settings[name]) for name, header in _OWN.items() if stored.settings.get(name)}
    custom = {f"x-goog-meta-{name}": str(value) for name, value in (stored.settings.get("metadata") or {}).items()}
    return {
        **own,
        **custom,
        "ETag": etag,
        "Last-Modified": http_date(stored.updated),
        "Accept-Ranges": "bytes",
        "x-goog-generation": str(stored.generation),
        "x-goog-metageneration": str(stored.metageneration),
        "x-goog-hash": stored.hashes,
        "x-goog-storage-class": str(stored.settings.get("storageClass", "STANDARD")),
        "x-goog-stored-content-encoding": str(stored.settings.get("contentEncoding") or "identity"),
        "x-goog-stored-content-length": str(stored.size),
    }


def _span(asked: str, size: int) -> tuple[int, int]:
    """The first byte that is wanted and the one behind the last. What is no single range is ignored, as HTTP allows."""
    match = _RANGE.fullmatch(asked)
    if match is None or match[0] == "bytes=-":
        return 0, size
    first, last = match[1], match[2]
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= size or begin >= end:
        raise refusals.unsatisfiable()
    return begin, end
