"""Parts of objects: moto copies the whole of one for every range of it, and clients ask for a gigabyte in hundreds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlinfra.emulator.aws.wire import motoside

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from mlinfra.emulator.aws.wire.visit import Visit

_PARTIAL = 206
_RANGE = re.compile(r"bytes (\d+)-(\d+)/\d+")
_OF_OTHERS = {"VersionId", "PartNumber"}


def part(visit: Visit, account: str) -> Response | None:
    """The answer to a GetObject with a Range, its headers moto's; None where moto itself shall answer."""
    body = visit.asked.body
    if visit.asked.operation != "GetObject" or "Range" not in body or _OF_OTHERS & body.keys():
        return None
    with motoside.lock:
        response = motoside.forward({**visit.request.environ, "REQUEST_METHOD": "HEAD"}, account, b"")
        told = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code != _PARTIAL or told is None:
            return None
        begin, end = int(told[1]), int(told[2])
        found = motoside.backend("s3", account, "aws").get_object(body["Bucket"], body["Key"])
        response.set_data(motoside.piece(found, begin, end - begin + 1))
        return response
