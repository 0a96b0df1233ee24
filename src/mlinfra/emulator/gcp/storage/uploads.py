"""Uploads by the JSON API: at once, as two parts, or resumable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.http import parse_options_header
from werkzeug.wrappers import Response

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.storage import refusals, sessions
from mlinfra.emulator.gcp.storage.names import check_object
from mlinfra.emulator.gcp.storage.records import OBJECT_SETTINGS, chosen
from mlinfra.emulator.gcp.storage.related import Related, malformed
from mlinfra.emulator.gcp.storage.sessions import Session
from mlinfra.emulator.gcp.storage.shelf import Write
from mlinfra.emulator.gcp.storage.visit import read_document, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.emulator.gcp.storage.drafts import Draft
    from mlinfra.emulator.gcp.storage.records import Stored
    from mlinfra.emulator.gcp.storage.storage import Storage
    from mlinfra.emulator.gcp.storage.visit import Visit

_HASHES = {"md5Hash": "md5", "crc32c": "crc32c"}


def insert(storage: Storage, visit: Visit) -> Stored | Response:
    """storage.objects.insert, in each of its three ways."""
    kind = visit.argument("uploadType", "media")
    if kind == "resumable":
        return _open(storage, visit)
    if kind == "multipart":
        document, content_type, pieces = _two_parts(visit)
    elif kind == "media":
        document, content_type, pieces = {}, visit.http.headers.get("Content-Type", ""), visit.body()
    else:
        raise refusals.invalid(f"Invalid upload type: {kind}")
    name = _name(visit, document)
    write = _write(visit, name, document, content_type)
    draft = storage.shelf.draft()
    try:
        draft.add(pieces)
        check_hashes(draft, {**hashes(visit.http.headers.get("x-goog-hash", "")), **_of_document(document)})
        return storage.shelf.put(visit.bucket, name, draft, write)
    except BaseException:
        draft.discard()
        raise


def resume(storage: Storage, visit: Visit) -> Stored | Response:
    """Bytes for a resumable upload, or the question how far it has come."""
    upload_id = visit.argument("upload_id")
    session = storage.sessions.get(upload_id)
    with session.lock:
        if session.done:
            return session.done
        whole = session.take(sessions.span(visit.http.headers.get("Content-Range", "")), visit.body())
        session.hashes.update(hashes(visit.http.headers.get("x-goog-hash", "")))
        if not whole:
            progress = session.progress()
            response = told(Response(b"", status="308 Resume Incomplete"), X_GUploader_UploadID=upload_id)
            return told(response, Range=progress) if progress else response
        try:
            check_hashes(session.draft, session.hashes)
            session.done = storage.shelf.put(session.bucket, session.name, session.draft, session.write)
        except Refusal:
            storage.sessions.drop(upload_id)
            raise
        return session.done


def cancel(storage: Storage, visit: Visit) -> Response:
    """Give a resumable upload up; the service answers 499."""
    upload_id = visit.argument("upload_id")
    storage.sessions.get(upload_id)
    storage.sessions.drop(upload_id)
    return Response(b"", status="499 Client Closed Request")


def hashes(header: str) -> dict[str, str]:
    """What `x-goog-hash` promises: `crc32c=…,md5=…`."""
    pairs = (each.strip().partition("=") for each in header.split(",") if each.strip())
    return {name: value for name, _, value in pairs}


def check_hashes(draft: Draft, promised: Mapping[str, str]) -> None:
    """Refuse bytes that are not those which were promised."""
    for name, kind, found in (("crc32c", "CRC32C", draft.crc32c), ("md5", "MD5", draft.md5)):
        if promised.get(name, found) != found:
            raise refusals.damaged(kind, promised[name], found)


def _open(storage: Storage, visit: Visit) -> Response:
    document = visit.document()
    name = _name(visit, document)
    write = _write(visit, name, document, visit.http.headers.get("X-Upload-Content-Type", ""))
    storage.shelf.bucket(visit.bucket)
    session = Session(visit.bucket, name, storage.shelf.draft(), write, visit.access, _of_document(document))
    upload_id = storage.sessions.open(session)
    path = f"/upload/storage/v1/b/{visit.bucket}/o?uploadType=resumable&name={quote(name, safe='')}"
    response = Response(b"", headers={"Location": f"{visit.base}{path}&upload_id={upload_id}"})
    return told(response, X_GUploader_UploadID=upload_id)


def _two_parts(visit: Visit) -> tuple[dict[str, Any], str, Iterator[bytes]]:
    kind, options = parse_options_header(visit.http.headers.get("Content-Type", ""))
    if not kind.startswith("multipart/") or "boundary" not in options:
        raise malformed()
    body = Related(visit.body(), options["boundary"])
    document = read_document(body.document())
    return document, *body.content()


def _name(visit: Visit, document: Mapping[str, Any]) -> str:
    return check_object(visit.argument("name") or str(document.get("name") or ""))


def _write(visit: Visit, name: str, document: Mapping[str, Any], content_type: str) -> Write:
    """What is asked for, once the caller may ask for it."""
    visit.allow("storage.objects.create", visit.bucket, name)
    settings = {"contentType": content_type or None, **chosen(document, OBJECT_SETTINGS)}
    settings = {member: value for member, value in settings.items() if value is not None}
    if visit.argument("kmsKeyName"):
        settings["kmsKeyName"] = visit.argument("kmsKeyName")
    return Write(settings, visit.conditions, lambda: visit.allow("storage.objects.delete", visit.bucket, name))


def _of_document(document: Mapping[str, Any]) -> dict[str, str]:
    return {kind: str(document[member]) for member, kind in _HASHES.items() if document.get(member)}
