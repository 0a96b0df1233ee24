"""The XML API's methods, as far as object clients use it: objects, their lists, multipart uploads, copies.

By the vendor's XML API reference. What is asked is the method together with what the query and the headers hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from werkzeug.wrappers import Response

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.storage import conditions, listing, media, refusals, uploads
from mlinfra.emulator.gcp.storage.names import check_object
from mlinfra.emulator.gcp.storage.records import Settings, Stored, moment
from mlinfra.emulator.gcp.storage.shelf import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlinfra.emulator.gcp.storage.storage import Storage
    from mlinfra.emulator.gcp.storage.visit import Visit

_NAMESPACE = "http://doc.s3.amazonaws.com/2006-03-01"  # of lists of objects, as the reference shows them
_MULTIPART_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"  # of multipart uploads
_LARGEST_DOCUMENT = 2 << 20  # bytes
_SETTINGS = {
    "Cache-Control": "cacheControl",
    "Content-Disposition": "contentDisposition",
    "Content-Encoding": "contentEncoding",
    "Content-Language": "contentLanguage",
    "Content-Type": "contentType",
    "x-goog-custom-time": "customTime",
    "x-goog-encryption-kms-key-name": "kmsKeyName",
    "x-goog-storage-class": "storageClass",
}
_CUSTOM = "x-goog-meta-"
_UNKNOWN = frozenset(
    {"acl", "billing", "cors", "encryption", "lifecycle", "location", "logging", "tagging", "versioning", "website"}
)
Named = tuple[str, str]  # bucket, object


class Operation(NamedTuple):
    """What a request asks for, by the JSON API's name of the same thing."""

    method: str
    handle: Callable[[Storage, Visit], Response]


def operation(verb: str, named: Named, query: Iterable[str], *, copying: bool) -> Operation:
    """What a request asks for; `copying` where it names a source.

    Raises:
        Refusal: it is not emulated.
    """
    asked = set(query)
    key: tuple[str, ...] = (verb, "object" if named[1] else "bucket")
    if asked & _UNKNOWN or not named[0]:
        raise refusals.not_emulated(f"{verb} of {', '.join(sorted(asked & _UNKNOWN)) or 'the list of buckets'}")
    key += tuple(mark for mark in ("uploads", "uploadId") if mark in asked)
    if copying:
        key += ("copy",)
    if key not in _OPERATIONS:
        raise refusals.not_emulated(" ".join(key))
    return _OPERATIONS[key]


def error_response(error: Refusal) -> Response:
    """The error document. A 304 has none."""
    if error.status == 304:  # noqa: PLR2004  Not Modified
        return Response(b"", status=304)
    root = ET.Element("Error")
    general = error.details.get("xml") or ""
    _add(root, Code=error.code, Message=general or error.message)
    if general:
        _add(root, Details=error.message)
    response = _xml(root, error.status)
    response.headers.extend(error.headers)
    return response


def _get(storage: Storage, visit: Visit) -> Response:
    stored_conditions = conditions.of_headers(visit.http.headers)
    try:
        visit.allow("storage.objects.get", visit.bucket, visit.object)
        if visit.http.method == "HEAD":
            stored = storage.shelf.get(visit.bucket, visit.object, visit.generation, stored_conditions)
            return media.head(stored, _quoted(stored))
        stored, file = storage.shelf.read(visit.bucket, visit.object, visit.generation, stored_conditions)
    except Refusal as exc:
        if exc.code == "NoSuchKey":
            visit.allow("storage.objects.list", visit.bucket)
        raise
    return media.answer(stored, file, _quoted(stored), visit.http.headers.get("Range", ""))


def _put(storage: Storage, visit: Visit) -> Response:
    write = _write(visit)
    check_object(visit.object)
    draft = storage.shelf.draft()
    try:
        draft.add(visit.body())
        promised = uploads.hashes(visit.http.headers.get("x-goog-hash", ""))
        if "Content-MD5" in visit.http.headers:
            promised["md5"] = visit.http.headers["Content-MD5"]
        uploads.check_hashes(draft, promised)
        return _written(storage.shelf.put(visit.bucket, visit.object, draft, write))
    except BaseException:
        draft.discard()
        raise


def _copy(storage: Storage, visit: Visit) -> Response:
    bucket, _, name = unquote(visit.http.headers["x-goog-copy-source"]).removeprefix("/").partition("/")
    visit.allow("storage.objects.get", bucket, name)
    write = _write(visit)
    told = visit.http.headers.get("x-goog-copy-source-generation", "")
    with storage.shelf.lock:
        source = storage.shelf.get(bucket, name, int(told) if told.isdecimal() else None)
        if visit.http.headers.get("x-goog-metadata-directive", "COPY") == "COPY":
            write = write._replace(settings=source.settings)
        stored = storage.shelf.copy(source, visit.bucket, visit.object, write)
    root = ET.Element("CopyObjectResult")
    _add(root, LastModified=moment(stored.updated), ETag=_quoted(stored))
    response = _xml(root)
    response.headers.extend(_born(stored))
    return response


def _delete(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.objects.delete", visit.bucket, visit.object)
    wanted = conditions.of_headers(visit.http.headers)
    storage.shelf.delete(visit.bucket, visit.object, visit.generation, wanted)
    return Response(b"", status=204)


def _list(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.objects.list", visit.bucket)
    second = visit.argument("list-type") == "2"
    token = visit.argument("continuation-token")
    start = visit.argument("start-after" if second else "marker")
    query = listing.Query(
        prefix=visit.argument("prefix"),
        delimiter=visit.argument("delimiter"),
        after=listing.after(token) if token else start,
        most=min(visit.number("max-keys") or listing.LARGEST_PAGE, listing.LARGEST_PAGE),
    )
    page = listing.page(storage.shelf, visit.bucket, query)
    root = ET.Element("ListBucketResult", xmlns=_NAMESPACE)
    _add(root, Name=visit.bucket, Prefix=query.prefix)
    if second:
        _add(root, KeyCount=str(len(page.items) + len(page.prefixes)))
    _add(root, IsTruncated=str(bool(page.last)).lower())
    if page.last:
        _add(root, **({"NextContinuationToken": listing.token(page.last)} if second else {"NextMarker": page.last}))
    for stored in page.items:
        entry = ET.SubElement(root, "Contents")
        _add(entry, Key=stored.name, Generation=str(stored.generation), MetaGeneration=str(stored.metageneration))
        _add(entry, LastModified=moment(stored.updated), ETag=_quoted(stored), Size=str(stored.size))
    for prefix in page.prefixes:
        _add(ET.SubElement(root, "CommonPrefixes"), Prefix=prefix)
    return _xml(root)


def _head_bucket(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.buckets.get", visit.bucket)
    storage.shelf.bucket(visit.bucket)
    return Response(b"", status=200)


def _initiate(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.multipartUploads.create", visit.bucket, visit.object)
    visit.allow("storage.objects.create", visit.bucket, visit.object)
    check_object(visit.object)
    upload_id = storage.assemblies.open(visit.bucket, visit.object, _settings(visit))
    root = ET.Element("InitiateMultipartUploadResult", xmlns=_MULTIPART_NAMESPACE)
    _add(root, Bucket=visit.bucket, Key=visit.object, UploadId=upload_id)
    return _xml(root)


def _part(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.multipartUploads.create", visit.bucket, visit.object)
    assembly = storage.assemblies.get(visit.argument("uploadId"), visit.bucket, visit.object)
    draft = storage.shelf.draft()
    try:
        draft.add(visit.body())
        uploads.check_hashes(draft, uploads.hashes(visit.http.headers.get("x-goog-hash", "")))
        storage.assemblies.add(assembly, visit.number("partNumber") or 0, draft)
    except BaseException:
        draft.discard()
        raise
    told = {"ETag": f'"{draft.md5_hex}"', "x-goog-hash": f"crc32c={draft.crc32c},md5={draft.md5}"}
    return Response(b"", headers=told)


def _complete(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.multipartUploads.create", visit.bucket, visit.object)
    write = _write(visit)
    upload_id = visit.argument("uploadId")
    assembly = storage.assemblies.get(upload_id, visit.bucket, visit.object)
    wanted = _parts(visit.http.stream.read(_LARGEST_DOCUMENT))
    stored = storage.assemblies.complete(upload_id, assembly, wanted, write._replace(settings=assembly.settings))
    root = ET.Element("CompleteMultipartUploadResult", xmlns=_MULTIPART_NAMESPACE)
    _add(root, Location=f"{visit.base}/{visit.bucket}/{visit.object}", Bucket=visit.bucket, Key=visit.object)
    _add(root, ETag=_quoted(stored))
    response = _xml(root)
    response.headers.extend(_born(stored))
    return response


def _abort(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.multipartUploads.abort", visit.bucket, visit.object)
    upload_id = visit.argument("uploadId")
    storage.assemblies.get(upload_id, visit.bucket, visit.object)
    storage.assemblies.drop(upload_id)
    return Response(b"", status=204)


def _list_parts(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.multipartUploads.listParts", visit.bucket, visit.object)
    upload_id = visit.argument("uploadId")
    assembly = storage.assemblies.get(upload_id, visit.bucket, visit.object)
    root = ET.Element("ListPartsResult", xmlns=_MULTIPART_NAMESPACE)
    _add(root, Bucket=visit.bucket, Key=visit.object, UploadId=upload_id, IsTruncated="false")
    for number, draft in sorted(assembly.parts.items()):
        entry = ET.SubElement(root, "Part")
        _add(entry, PartNumber=str(number), ETag=f'"{draft.md5_hex}"', Size=str(draft.size))
    return _xml(root)


def _list_uploads(storage: Storage, visit: Visit) -> Response:
    visit.allow("storage.multipartUploads.list", visit.bucket)
    storage.shelf.bucket(visit.bucket)
    root = ET.Element("ListMultipartUploadsResult", xmlns=_MULTIPART_NAMESPACE)
    _add(root, Bucket=visit.bucket, IsTruncated="false")
    for upload_id, assembly in storage.assemblies.listed(visit.bucket):
        _add(ET.SubElement(root, "Upload"), Key=assembly.name, UploadId=upload_id)
    return _xml(root)


_OPERATIONS: dict[tuple[str, ...], Operation] = {
    ("GET", "object"): Operation("storage.objects.get", _get),
    ("HEAD", "object"): Operation("storage.objects.get", _get),
    ("PUT", "object"): Operation("storage.objects.insert", _put),
    ("PUT", "object", "copy"): Operation("storage.objects.copy", _copy),
    ("DELETE", "object"): Operation("storage.objects.delete", _delete),
    ("GET", "bucket"): Operation("storage.objects.list", _list),
    ("HEAD", "bucket"): Operation("storage.buckets.get", _head_bucket),
    ("POST", "object", "uploads"): Operation("storage.multipartUploads.create", _initiate),
    ("PUT", "object", "uploadId"): Operation("storage.multipartUploads.insertPart", _part),
    ("POST", "object", "uploadId"): Operation("storage.multipartUploads.complete", _complete),
    ("DELETE", "object", "uploadId"): Operation("storage.multipartUploads.abort", _abort),
    ("GET", "object", "uploadId"): Operation("storage.multipartUploads.listParts", _list_parts),
    ("GET", "bucket", "uploads"): Operation("storage.multipartUploads.list", _list_uploads),
}
METHODS = tuple(each.method for each in _OPERATIONS.values())


def _write(visit: Visit) -> Write:
    """What a write asks for, once the caller may ask for it."""
    bucket, name = visit.bucket, visit.object
    visit.allow("storage.objects.create", bucket, name)
    wanted = conditions.of_headers(visit.http.headers)
    return Write(_settings(visit), wanted, lambda: visit.allow("storage.objects.delete", bucket, name))


def _settings(visit: Visit) -> Settings:
    headers = visit.http.headers
    settings: Settings = {member: headers[name] for name, member in _SETTINGS.items() if name in headers}
    custom = {
        name[len(_CUSTOM) :].lower(): value for name, value in headers.items() if name.lower().startswith(_CUSTOM)
    }
    return {**settings, "metadata": custom} if custom else settings


def _written(stored: Stored) -> Response:
    return Response(b"", headers={"ETag": _quoted(stored), **_born(stored)})


def _born(stored: Stored) -> dict[str, str]:
    return {
        "x-goog-generation": str(stored.generation),
        "x-goog-metageneration": str(stored.metageneration),
        "x-goog-hash": stored.hashes,
        "x-goog-stored-content-length": str(stored.size),
    }


def _parts(data: bytes) -> list[tuple[int, str]]:
    try:
        root = ET.fromstring(data)  # noqa: S314  a document of our own client's; entities are not resolved by expat here
        return [(int(_text(part, "PartNumber")), _text(part, "ETag").strip('"')) for part in _children(root, "Part")]
    except (ET.ParseError, ValueError):
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise refusals.refusal(400, "MalformedCompleteMultipartUploadRequest", "invalid", message) from None


def _children(element: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def _text(element: ET.Element, name: str) -> str:
    return "".join(child.text or "" for child in _children(element, name))


def _quoted(stored: Stored) -> str:
    return f'"{stored.entity}"'


def _add(_element: ET.Element, **members: str) -> None:
    for name, text in members.items():
        ET.SubElement(_element, name).text = text


def _xml(root: ET.Element, status: int = 200) -> Response:
    body = b"<?xml version='1.0' encoding='UTF-8'?>" + ET.tostring(root, encoding="utf-8", xml_declaration=False)
    return Response(body, status=status, content_type="application/xml; charset=UTF-8")
