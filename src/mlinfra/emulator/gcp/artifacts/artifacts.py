"""Artifact Registry's REST interface, version 1, as far as repositories and images are looked up, made and removed.

After artifactregistry.v1 in Google's discovery documents: Repository, DockerImage, and the methods of both. An image is
named by its path, whose slashes are encoded, and its digest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mlinfra.emulator.calls import Call
from mlinfra.emulator.gcp.artifacts.images import DIFFERENCES, Images
from mlinfra.emulator.gcp.artifacts.references import parsed
from mlinfra.emulator.gcp.names import new_id
from mlinfra.emulator.gcp.wire import httpcalls, refusals
from mlinfra.emulator.operations import Fidelity
from mlinfra.emulator.table import Duplicate, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.gcp.artifacts.references import Reference
    from mlinfra.emulator.gcp.emulator import GcpEmulator

SERVICE = "artifactregistry"
_PATH = re.compile(
    r"/v1/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/repositories"
    r"(?:/(?P<repository>[^/:]+)(?:(?P<images>/dockerImages)(?:/(?P<image>.+))?)?)?"
)
_OWN = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_FORMATS = ("DOCKER",)
_FIXED = ("format", "mode", "kmsKeyName")
_REPOSITORY = "type.googleapis.com/google.devtools.artifactregistry.v1.Repository"
_EMPTY = "type.googleapis.com/google.protobuf.Empty"


@dataclass(frozen=True)
class _Operation:
    name: str
    permission: str
    answer: Callable[[Artifacts, Request, str], dict[str, Any]]  # the request, and the repository's or parent's name


class Artifacts(Images):
    """Artifact Registry of one project. The repositories of registered images exist by themselves."""

    def __init__(self, emulator: GcpEmulator) -> None:
        super().__init__(emulator.place)
        self._emulator = emulator
        self._repositories: Table[dict[str, Any]] = Table(emulator.clock, emulator.settings.list_lag)

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def leftovers(self) -> list[str]:
        """The repositories with our labels."""
        return [
            each["name"]
            for each in self._repositories.values()
            if any(label.startswith("mlinfra") for label in each.get("labels", {}))
        ]

    def stop(self) -> None:
        """Nothing of it runs."""

    def create(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make a repository, by its relative name.

        Raises:
            Refusal: the name is none or is taken, or it is for other things than images.
        """
        if not _OWN.fullmatch(name.rpartition("/")[2]):
            raise refusals.invalid_argument("repository_id must match [a-z]([a-z0-9-]{0,61}[a-z0-9])?", "repository_id")
        if body.get("format") not in _FORMATS:
            raise refusals.not_emulated(f"A repository of the format {body.get('format')}")
        at = self._now()
        made = {"mode": "STANDARD_REPOSITORY", **body, "name": name, "createTime": at, "updateTime": at}
        try:
            self._repositories.add(name, made)
        except Duplicate:
            raise refusals.already_exists("the repository already exists") from None
        return made

    def repository(self, name: str) -> dict[str, Any]:
        """A repository. NOT_FOUND where there is none."""
        found = self._repositories.get(name) or self._implied().get(name)
        if found is None:
            raise refusals.not_found(f'Requested entity was not found: "{name}".')
        return found

    def repositories(self, parent: str) -> list[dict[str, Any]]:
        """Those below `projects/P/locations/L`."""
        known = {**self._implied(), **{each["name"]: each for each in self._repositories.listed()}}
        return [each for name, each in sorted(known.items()) if name.startswith(f"{parent}/")]

    def images(self, repository: str) -> list[dict[str, Any]]:
        """The images that were registered in a repository."""
        self.repository(repository)
        found = [(uri, parsed(uri)) for uri in self.known()]
        return [
            {
                "name": f"{repository}/dockerImages/{_image(each)}",
                "uri": uri,
                **({"tags": [each.tag]} if each.tag else {}),
            }
            for uri, each in found
            if each and each.resource == repository
        ]

    def image(self, name: str) -> dict[str, Any]:
        """An image by its name, whose slashes may be written as such. NOT_FOUND where there is none."""
        repository, _, own = name.partition("/dockerImages/")
        found = next((each for each in self.images(repository) if unquote(each["name"]) == unquote(name)), None)
        if found is None:
            raise refusals.not_found(f'Requested entity was not found: "{own}".')
        return found

    def patch(self, name: str, body: dict[str, Any], mask: str) -> dict[str, Any]:
        """Change the members of a repository that a mask names, or all that the body has. NOT_FOUND as above.

        Raises:
            Refusal: what its creation alone decides would change.
        """
        with self._repositories.lock:
            old = self.repository(name)
            members = [each.strip() for each in mask.split(",") if each.strip()] or list(body)
            if wrong := [each for each in members if each in _FIXED and body.get(each) != old.get(each)]:
                raise refusals.invalid_argument(f"{wrong[0]} is immutable and cannot be changed.", wrong[0])
            kept = {member: value for member, value in old.items() if member not in members}
            given = {member: body[member] for member in members if member in body}
            made = {**kept, **given, "name": name, "updateTime": self._now()}
            self._repositories.put(name, made)
        return made

    def remove(self, name: str) -> None:
        """Remove a repository. NOT_FOUND where there is none."""
        self.repository(name)
        self._repositories.remove(name)
        for uri in self.known():
            reference = parsed(uri)
            if reference and reference.resource == name:
                self.forget(uri)

    def _now(self) -> str:
        return self._emulator.clock.now().isoformat().replace("+00:00", "Z")

    def _implied(self) -> dict[str, dict[str, Any]]:
        references = [each for each in map(parsed, self.known()) if each and each.project == self._emulator.project]
        return {
            each.resource: {"name": each.resource, "format": "DOCKER", "mode": "STANDARD_REPOSITORY"}
            for each in references
        }

    def _answer(self, request: Request) -> Response:
        found = _PATH.fullmatch(request.path)
        kind = next((each for each in ("image", "images", "repository") if found and found[each]), "")
        operation = _OPERATIONS.get((request.method, kind)) if found else None
        if found is None or operation is None:
            raise refusals.not_emulated(f"{request.method} {request.path} of Artifact Registry")
        principal = httpcalls.caller(self._emulator, request)
        if found["project"] not in {self._emulator.project, self._emulator.project_number}:
            raise refusals.wrong_project(found["project"])
        parent = f"projects/{self._emulator.project}/locations/{found['location']}"
        name = f"{parent}/repositories/{found['repository']}" if found["repository"] else parent
        call = Call(SERVICE, operation.name, operation.permission, principal, (name,), request.args.to_dict())
        asked = f"{name}/dockerImages/{found['image']}" if found["image"] else name
        told = self._emulator.desk.admit(call, lambda: operation.answer(self, request, asked))
        return httpcalls.replied(told)


def _image(reference: Reference) -> str:
    """An image's own part of its name; one that nobody gave a digest is called by its tag."""
    mark = f"@{reference.digest}" if reference.digest else f":{reference.tag}"
    return quote(reference.image, safe="") + mark


def _create(artifacts: Artifacts, request: Request, parent: str) -> dict[str, Any]:
    own = request.args.get("repositoryId") or request.args.get("repository_id") or ""
    made = artifacts.create(f"{parent}/repositories/{own}", httpcalls.document(request))
    return _done(parent, {"@type": _REPOSITORY, **made})


def _delete(artifacts: Artifacts, _request: Request, name: str) -> dict[str, Any]:
    artifacts.remove(name)
    return _done(name.partition("/repositories/")[0], {"@type": _EMPTY})


def _done(parent: str, response: dict[str, Any]) -> dict[str, Any]:
    """A long-running operation that is over."""
    return {"name": f"{parent}/operations/{new_id()}", "done": True, "response": response}


_OPERATIONS: dict[tuple[str, str], _Operation] = {  # by method, and what the path ends with
    ("POST", ""): _Operation("CreateRepository", "artifactregistry.repositories.create", _create),
    ("PATCH", "repository"): _Operation(
        "UpdateRepository",
        "artifactregistry.repositories.update",
        lambda artifacts, request, name: artifacts.patch(
            name, httpcalls.document(request), request.args.get("updateMask", "")
        ),
    ),
    ("DELETE", "repository"): _Operation("DeleteRepository", "artifactregistry.repositories.delete", _delete),
    ("GET", "repository"): _Operation(
        "GetRepository", "artifactregistry.repositories.get", lambda artifacts, _, name: artifacts.repository(name)
    ),
    ("GET", ""): _Operation(
        "ListRepositories",
        "artifactregistry.repositories.list",
        lambda artifacts, _, parent: {"repositories": artifacts.repositories(parent)},
    ),
    ("GET", "image"): _Operation(
        "GetDockerImage", "artifactregistry.dockerimages.get", lambda artifacts, _, name: artifacts.image(name)
    ),
    ("GET", "images"): _Operation(
        "ListDockerImages",
        "artifactregistry.dockerimages.list",
        lambda artifacts, _, name: {"dockerImages": artifacts.images(name)},
    ),
}
OPERATIONS = tuple(
    Fidelity(
        SERVICE,
        each.name,
        validated="the id and the format" if each.name == "CreateRepository" else "the path",
        differences=DIFFERENCES if each.name.endswith(("DockerImage", "DockerImages")) else ("lists have one page",),
    )
    for each in _OPERATIONS.values()
)
