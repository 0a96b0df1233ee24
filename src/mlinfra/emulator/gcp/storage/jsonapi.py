"""The JSON API's methods, by the discovery document of `storage` v1: what each asks for, does and answers."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.storage import conditions, listing, media, refusals, uploads
from mlinfra.emulator.gcp.storage.fields import partial
from mlinfra.emulator.gcp.storage.records import BUCKET_SETTINGS, OBJECT_SETTINGS, Settings, Stored, chosen, patched
from mlinfra.emulator.gcp.storage.shelf import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlinfra.emulator.gcp.storage.storage import Storage
    from mlinfra.emulator.gcp.storage.visit import Visit

_MOST_COMPOSED = 32
# The reasons of errors that were scripted, or made by the emulator's core.
_REASONS: dict[int, str] = {403: "forbidden", 429: "rateLimitExceeded", 500: "internalError", 503: "backendError"}
_BUCKETS_PAGE = 1000
_ROOT, _DOWNLOAD, _UPLOAD = ("storage", "v1"), ("download", "storage", "v1"), ("upload", "storage", "v1")
_B, _O = ("b", "{bucket}"), ("o", "{object}")


@dataclass(frozen=True)
class Route:
    """One method on one kind of path; `{bucket}` and the like are named parts of it."""

    verb: str
    path: tuple[str, ...]
    method: str  # by its id in the discovery document
    handle: Callable[[Storage, Visit], Any]


def route(verb: str, parts: list[str], query: Mapping[str, str]) -> tuple[Route, dict[str, str]]:
    """What a request asks for, and what its path names. `parts` are decoded.

    Raises:
        Refusal: nothing is known of it here.
    """
    for each in ROUTES:
        named = _named(each.path, parts)
        if each.verb != verb or named is None:
            continue
        if (each.handle in {uploads.resume, uploads.cancel}) == ("upload_id" in query):
            return each, named
    raise refusals.not_emulated(f"{verb} /{'/'.join(parts)}")


def reply(visit: Visit, answer: Any) -> Response:
    """The answer of a method as HTTP: documents become JSON, with the members that were asked for."""
    if isinstance(answer, Response):
        return answer
    document = answer.document(visit.base) if isinstance(answer, Stored) else answer
    if document is None:
        return Response(b"", status=204)
    response = json_response(partial(document, visit.argument("fields")))
    if isinstance(answer, Stored):
        response.headers["ETag"] = answer.etag
    return response


def json_response(document: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON document."""
    return Response(json.dumps(document), status=status, content_type="application/json; charset=UTF-8")


def error_response(error: Refusal) -> Response:
    """The error document. A 304 has none."""
    if error.status == 304:  # noqa: PLR2004  Not Modified
        return Response(b"", status=304)
    details = error.details
    reason = str(details.get("reason") or _REASONS.get(error.status, "invalid"))
    where: dict[str, Any] = {name: details[name] for name in ("locationType", "location") if name in details}
    errors = [{"message": error.message, "domain": "global", "reason": reason, **where}]
    document: dict[str, Any] = {"code": error.status, "message": error.message, "errors": errors}
    response = json_response({"error": document}, error.status)
    response.headers.extend(error.headers)
    return response


def _named(path: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    if len(path) != len(parts):
        return None
    named = {}
    for pattern, part in zip(path, parts, strict=True):
        if pattern.startswith("{"):
            named[pattern.strip("{}")] = part
        elif pattern != part:
            return None
    return named


# Buckets


def _insert_bucket(storage: Storage, visit: Visit) -> dict[str, Any]:
    visit.allow("storage.buckets.create")
    document = visit.document()
    name = str(document.get("name") or "")
    if not name:
        raise refusals.required("Required")
    return _told(storage, visit, storage.shelf.create_bucket(name, chosen(document, BUCKET_SETTINGS)).name)


def _get_bucket(storage: Storage, visit: Visit) -> dict[str, Any]:
    visit.allow("storage.buckets.get", visit.bucket)
    return _told(storage, visit, visit.bucket)


def _list_buckets(storage: Storage, visit: Visit) -> dict[str, Any]:
    visit.allow("storage.buckets.list")
    if not visit.argument("project"):
        raise refusals.required("Required parameter: project")
    most = min(visit.number("maxResults") or _BUCKETS_PAGE, _BUCKETS_PAGE)
    after = listing.after(visit.argument("pageToken"))
    found = [each.name for each in storage.shelf.buckets(visit.argument("prefix")) if each.name > after]
    page = {"nextPageToken": listing.token(found[most - 1])} if len(found) > most else {}
    items = [_told(storage, visit, name) for name in found[:most]]
    return {"kind": "storage#buckets", **page, **({"items": items} if items else {})}


def _patch_bucket(storage: Storage, visit: Visit) -> dict[str, Any]:
    visit.allow("storage.buckets.update", visit.bucket)
    storage.shelf.patch_bucket(visit.bucket, chosen(visit.document(), BUCKET_SETTINGS), visit.conditions)
    return _told(storage, visit, visit.bucket)


def _update_bucket(storage: Storage, visit: Visit) -> dict[str, Any]:
    visit.allow("storage.buckets.update", visit.bucket)
    before = storage.shelf.bucket(visit.bucket).settings
    gone = dict.fromkeys(before.keys() - {"location"})
    changes = {**gone, **chosen(visit.document(), BUCKET_SETTINGS)}
    storage.shelf.patch_bucket(visit.bucket, changes, visit.conditions)
    return _told(storage, visit, visit.bucket)


def _delete_bucket(storage: Storage, visit: Visit) -> None:
    visit.allow("storage.buckets.delete", visit.bucket)
    storage.shelf.delete_bucket(visit.bucket)


def _test_permissions(storage: Storage, visit: Visit) -> dict[str, Any]:
    storage.shelf.bucket(visit.bucket)
    asked = visit.http.args.getlist("permissions")
    held = [permission for permission in asked if visit.access.has(permission, visit.bucket)]
    return {"kind": "storage#testIamPermissionsResponse", "permissions": held}


def _told(storage: Storage, visit: Visit, name: str) -> dict[str, Any]:
    return storage.shelf.bucket(name).document(visit.base, storage.project_number)


# Objects


def _get_object(storage: Storage, visit: Visit) -> Stored | Response:
    visit.allow("storage.objects.get", visit.bucket, visit.object)
    wanted = (visit.bucket, visit.object, visit.generation, visit.conditions)
    if visit.argument("alt", "json") == "media":
        stored, file = _or_hidden(storage, visit, lambda: storage.shelf.read(*wanted))
        return media.answer(stored, file, stored.etag, visit.http.headers.get("Range", ""))
    found: Stored = _or_hidden(storage, visit, lambda: storage.shelf.get(*wanted))
    return found


def _or_hidden(storage: Storage, visit: Visit, get: Callable[[], Any]) -> Any:
    """Who may not list a bucket does not learn that an object is absent."""
    try:
        return get()
    except Refusal as exc:
        if exc.code == "NoSuchKey":
            storage.shelf.bucket(visit.bucket)
            visit.allow("storage.objects.list", visit.bucket)
        raise


def _list_objects(storage: Storage, visit: Visit) -> dict[str, Any]:
    visit.allow("storage.objects.list", visit.bucket)
    for name in ("matchGlob", "softDeleted", "filter"):
        if visit.argument(name) not in {"", "false"}:
            raise refusals.not_emulated(f"{name} of a list of objects")
    query = listing.Query(
        prefix=visit.argument("prefix"),
        delimiter=visit.argument("delimiter"),
        begin=visit.argument("startOffset"),
        end=visit.argument("endOffset"),
        after=listing.after(visit.argument("pageToken")),
        most=min(visit.number("maxResults") or listing.LARGEST_PAGE, listing.LARGEST_PAGE),
        trailing=visit.argument("includeTrailingDelimiter") == "true",
    )
    page = listing.page(storage.shelf, visit.bucket, query)
    found = {
        "nextPageToken": listing.token(page.last) if page.last else None,
        "prefixes": list(page.prefixes),
        "items": [stored.document(visit.base) for stored in page.items],
    }
    return {"kind": "storage#objects", **{name: value for name, value in found.items() if value}}


def _delete_object(storage: Storage, visit: Visit) -> None:
    visit.allow("storage.objects.delete", visit.bucket, visit.object)
    storage.shelf.delete(visit.bucket, visit.object, visit.generation, visit.conditions)


def _patch_object(storage: Storage, visit: Visit) -> Stored:
    return _describe(storage, visit, patched)


def _update_object(storage: Storage, visit: Visit) -> Stored:
    return _describe(storage, visit, lambda _before, after: dict(after))


def _describe(storage: Storage, visit: Visit, change: Callable[[Settings, Mapping[str, Any]], Settings]) -> Stored:
    visit.allow("storage.objects.update", visit.bucket, visit.object)
    settings = chosen(visit.document(), OBJECT_SETTINGS)
    return storage.shelf.describe(
        visit.bucket, visit.object, lambda before: change(before, settings), visit.conditions, visit.generation
    )


def _copy_object(storage: Storage, visit: Visit) -> Stored:
    """storage.objects.copy: the destination's document replaces the source's, where one is given."""
    to_bucket, to_name = visit.named["toBucket"], visit.named["toObject"]
    visit.allow("storage.objects.get", visit.bucket, visit.object)
    visit.allow("storage.objects.create", to_bucket, to_name)
    settings = chosen(visit.document(), OBJECT_SETTINGS)
    with storage.shelf.lock:
        source = storage.shelf.get(visit.bucket, visit.object, visit.number("sourceGeneration"), _of_source(visit))
        write = Write(settings or source.settings, visit.conditions, _replacing(visit, to_bucket, to_name))
        return storage.shelf.copy(source, to_bucket, to_name, write)


def _rewrite_object(storage: Storage, visit: Visit) -> dict[str, Any]:
    """storage.objects.rewrite: done at once, whatever the size, as within one location."""
    stored = _copy_object(storage, visit)
    return {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": str(stored.size),
        "objectSize": str(stored.size),
        "done": True,
        "resource": stored.document(visit.base),
    }


def _move_object(storage: Storage, visit: Visit) -> Stored:
    """storage.objects.move, within one bucket."""
    name = visit.named["toObject"]
    for permission, which in (("move", visit.object), ("create", name)):
        visit.allow(f"storage.objects.{permission}", visit.bucket, which)
    with storage.shelf.lock:
        source = storage.shelf.get(visit.bucket, visit.object, None, _of_source(visit))
        write = Write(source.settings, visit.conditions, _replacing(visit, visit.bucket, name))
        moved = storage.shelf.copy(source, visit.bucket, name, write)
        storage.shelf.delete(visit.bucket, visit.object)
        return moved


def _compose_object(storage: Storage, visit: Visit) -> Stored:
    document = visit.document()
    sources = document.get("sourceObjects") or ()
    if not 0 < len(sources) <= _MOST_COMPOSED:
        raise refusals.invalid(f"The number of source components provided ({len(sources)}) exceeds the maximum (32)")
    for source in sources:
        visit.allow("storage.objects.get", visit.bucket, str(source.get("name")))
    visit.allow("storage.objects.create", visit.bucket, visit.object)
    settings = chosen(document.get("destination") or {}, OBJECT_SETTINGS)
    write = Write(settings, visit.conditions, _replacing(visit, visit.bucket, visit.object))
    return storage.shelf.compose(_opened(storage, visit.bucket, sources), visit.bucket, visit.object, write)


def _opened(storage: Storage, bucket: str, sources: Sequence[Mapping[str, Any]]) -> list[tuple[Stored, IO[bytes]]]:
    """The components and their open files, or none of them."""
    opened = []
    with ExitStack() as stack, storage.shelf.lock:
        for source in sources:
            opened.append(storage.shelf.read(bucket, str(source.get("name")), *_of_component(source)))
            stack.callback(opened[-1][1].close)
        stack.pop_all()
    return opened


def _of_component(source: Mapping[str, Any]) -> tuple[int | None, conditions.Conditions]:
    told = source.get("generation")
    generation = int(told) if told else None
    wanted = (source.get("objectPreconditions") or {}).get("ifGenerationMatch")
    return generation, conditions.Conditions(generation=None if wanted is None else int(wanted))


def _of_source(visit: Visit) -> conditions.Conditions:
    return conditions.of_query(visit.http.args, Headers(), "ifSource")


def _replacing(visit: Visit, bucket: str, name: str) -> Callable[[], None]:
    """Who replaces an object needs the permission to delete it."""
    return lambda: visit.allow("storage.objects.delete", bucket, name)


ROUTES = (
    Route("POST", (*_ROOT, "b"), "storage.buckets.insert", _insert_bucket),
    Route("GET", (*_ROOT, "b"), "storage.buckets.list", _list_buckets),
    Route("GET", (*_ROOT, *_B), "storage.buckets.get", _get_bucket),
    Route("PATCH", (*_ROOT, *_B), "storage.buckets.patch", _patch_bucket),
    Route("PUT", (*_ROOT, *_B), "storage.buckets.update", _update_bucket),
    Route("DELETE", (*_ROOT, *_B), "storage.buckets.delete", _delete_bucket),
    Route("GET", (*_ROOT, *_B, "iam", "testPermissions"), "storage.buckets.testIamPermissions", _test_permissions),
    Route("GET", (*_ROOT, *_B, "o"), "storage.objects.list", _list_objects),
    Route("GET", (*_ROOT, *_B, *_O), "storage.objects.get", _get_object),
    Route("GET", (*_DOWNLOAD, *_B, *_O), "storage.objects.get", _get_object),
    Route("PATCH", (*_ROOT, *_B, *_O), "storage.objects.patch", _patch_object),
    Route("PUT", (*_ROOT, *_B, *_O), "storage.objects.update", _update_object),
    Route("DELETE", (*_ROOT, *_B, *_O), "storage.objects.delete", _delete_object),
    Route("POST", (*_ROOT, *_B, *_O, "compose"), "storage.objects.compose", _compose_object),
    Route(
        "POST", (*_ROOT, *_B, *_O, "copyTo", "b", "{toBucket}", "o", "{toObject}"), "storage.objects.copy", _copy_object
    ),
    Route(
        "POST",
        (*_ROOT, *_B, *_O, "rewriteTo", "b", "{toBucket}", "o", "{toObject}"),
        "storage.objects.rewrite",
        _rewrite_object,
    ),
    Route("POST", (*_ROOT, *_B, *_O, "moveTo", "o", "{toObject}"), "storage.objects.move", _move_object),
    Route("POST", (*_UPLOAD, *_B, "o"), "storage.objects.insert", uploads.insert),
    Route("PUT", (*_UPLOAD, *_B, "o"), "storage.objects.insert", uploads.resume),
    Route("POST", (*_UPLOAD, *_B, "o"), "storage.objects.insert", uploads.resume),
    Route("DELETE", (*_UPLOAD, *_B, "o"), "storage.objects.insert", uploads.cancel),
)
