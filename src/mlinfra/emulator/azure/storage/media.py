"""The bytes of a blob on their way out: whole or a range, with the headers that go with them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import IO, TYPE_CHECKING

from werkzeug.wrappers import Response

from mlinfra.emulator.azure.storage import checksums, refusals
from mlinfra.emulator.azure.storage.records import MD5
from mlinfra.emulator.objects.streams import Part, pieces

if TYPE_CHECKING:
    from mlinfra.emulator.azure.storage.records import Blob
    from mlinfra.emulator.azure.storage.visit import Visit

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_LARGEST_HASHED = 4 << 20  # bytes of a range whose hash is asked for
_SHOWN = {
    "rscc": "Cache-Control",
    "rscd": "Content-Disposition",
    "rsce": "Content-Encoding",
    "rscl": "Content-Language",
}


def head(blob: Blob) -> Response:
    """The answer without bytes."""
    response = Response(b"", headers={**blob.headers(), **blob.tier(), **_md5(blob)}, content_type=blob.content_type)
    response.content_length = blob.size
    return response


def answer(blob: Blob, file: IO[bytes], visit: Visit) -> Response:
    """The answer with the bytes of an open file, which it closes.

    Raises:
        Refusal: the range lies outside.
    """
    asked = visit.header("x-ms-range") or visit.header("Range")
    try:
        begin, end = span(asked, blob.size)
        headers = {**blob.headers(), **(_hashes(visit, file, begin, end) if asked else _md5(blob))}
    except BaseException:
        file.close()
        raise
    headers |= {name: visit.argument(key) for key, name in _SHOWN.items() if visit.argument(key)}
    response = Response(Part(file, begin, end - begin), headers=headers, direct_passthrough=True)
    response.content_type = visit.argument("rsct") or blob.content_type
    response.content_length = end - begin
    if asked:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{blob.size}"
        if blob.md5:
            response.headers["x-ms-blob-content-md5"] = blob.md5
    return response


def span(asked: str, size: int) -> tuple[int, int]:
    """The first byte that is wanted and the one behind the last; without a range all of them.

    Raises:
        Refusal: it is no range that the service knows, or lies outside.
    """
    if not asked:
        return 0, size
    match = _RANGE.fullmatch(asked)
    if match is None or (match[2] and int(match[2]) < int(match[1])):
        raise refusals.invalid_header("Range", asked)
    begin, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    if begin >= size:
        raise refusals.unsatisfiable()
    return begin, end


def _md5(blob: Blob) -> dict[str, str]:
    return {MD5: blob.md5} if blob.md5 else {}


def _hashes(visit: Visit, file: IO[bytes], begin: int, end: int) -> dict[str, str]:
    """The hashes of a range that were asked for."""
    wanted = {name for name in ("md5", "crc64") if visit.header(f"x-ms-range-get-content-{name}").lower() == "true"}
    if not wanted:
        return {}
    if end - begin > _LARGEST_HASHED:
        raise refusals.refusal(400, "OutOfRangeInput", "One of the request inputs is out of range.")
    file.seek(begin)
    content = b"".join(pieces(file, end - begin))
    if "crc64" in wanted:
        return {"x-ms-content-crc64": checksums.crc64([content])}
    return {MD5: base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()}
