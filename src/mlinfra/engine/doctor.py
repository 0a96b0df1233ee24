"""Whether an environment would work from here: looks at everything a command would need, changes nothing that stays.

Each check that fails names who may not do what, and the one line that mends it. What cannot be seen from here is
said to be so, never taken for well.
"""

from __future__ import annotations

import platform as machine
import shutil
import sys
import tempfile
import uuid
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mlinfra.contract import adapter as adapters
from mlinfra.contract.jobs import JobQuery
from mlinfra.engine import sync
from mlinfra.engine.records import APPROVALS
from mlinfra.engine.session import open_session
from mlinfra.environment import LocalEnvironment
from mlinfra.errors import (
    CapabilityError,
    CapacityUnavailable,
    Conflict,
    Denied,
    IntegrityError,
    MlinfraError,
    NotFound,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mlinfra.contract.requests import Document, Request
    from mlinfra.engine.folders import Folders
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment

LEAST_FREE = 1 << 30  # bytes; a job's requirements and one model package
SERVER_PARTS = ("httptools", "numpy", "orjson", "simdjson")  # what `mlinfra.serving` imports


class Verdict(StrEnum):
    """What a check found."""

    WELL = "ok"
    ILL = "failed"
    UNSEEN = "not checked"


@dataclass(frozen=True)
class Check:
    """One line of the examination. `identity` and `permission` are told where a right is missing; `fix` is one line."""

    name: str
    verdict: Verdict
    detail: str = ""
    identity: str = ""
    permission: str = ""
    fix: str = ""
    exit_code: int = 0

    def as_document(self) -> Document:
        """The check as `-o json` prints it; empty parts are left out."""
        told = {name: value for name, value in vars(self).items() if value and name != "exit_code"}
        return {**told, "verdict": self.verdict.value}


@runtime_checkable
class Examining(Protocol):
    """A client that can look at more than every platform has: quotas, images, keys, processes left behind."""

    def examine(self) -> Iterable[Document]:
        """Checks as documents: name, verdict, and as far as there is one detail, identity, permission, fix."""


def examine(environment: Environment, folders: Folders) -> Iterator[Check]:
    """Every check, one after the other, as it is made."""
    yield from _machine(folders)
    if isinstance(environment, LocalEnvironment):
        yield from _local(environment)
    yield from _freshness(environment, folders)
    try:
        with open_session(environment, folders=folders, say=lambda _: None) as session:
            yield from _platform(session)
    except MlinfraError as exc:
        yield _ill("platform", exc)


def exit_code(checks: Iterable[Check]) -> int:
    """0 when nothing failed, else the code of the first check that did."""
    return next((check.exit_code for check in checks if check.verdict is Verdict.ILL), 0)


def _machine(folders: Folders) -> Iterator[Check]:
    """What the kit itself needs, whatever the platform."""
    yield Check("python", Verdict.WELL, f"{machine.python_version()} at {sys.executable}")
    yield _attempt("uv", _uv)
    yield _attempt("project folder", lambda: _writable(folders.project))
    yield _attempt("state folder", lambda: _writable(folders.state))
    yield _attempt("disk", lambda: _room(folders.project))


def _local(environment: LocalEnvironment) -> Iterator[Check]:
    """What jobs and endpoints on this machine need beyond that."""
    from pathlib import Path  # noqa: PLC0415  `Path` is a type elsewhere in this module

    yield _attempt("environment folder", lambda: _writable(Path(environment.root)))
    yield _attempt("model server", _server)


def _freshness(environment: Environment, folders: Folders) -> Iterator[Check]:
    """Whether the kept document is that of the stack's last update."""
    kept = sync.kept(folders, environment.name)
    if kept is None:
        return

    def check() -> str:
        newest = sync.last_update(kept.stack, kept.folder, kept.variables)
        if newest == kept.update:
            return f"update {newest} of stack {kept.stack}"
        raise Conflict(
            f"the document is of update {kept.update} of stack {kept.stack}, which is at {newest}",
            todo=f"mlinfra env sync {environment.name}",
        )

    yield _attempt("document", check)


def _platform(session: Session) -> Iterator[Check]:
    """Credentials first: without them nothing else can be seen."""
    yield Check(
        "adapter", Verdict.WELL, f"{session.adapter.title or session.adapter.platform}, {session.adapter.package}"
    )
    identity = _attempt("credentials", lambda: _caller(session))
    yield identity
    if identity.verdict is Verdict.ILL:
        return
    who = session.caller.principal
    for name in session.environment.stores or ("artefacts",):
        if name == APPROVALS:  # which only approvers may write, and everybody reads
            yield _attempt(f"store {name}", partial(_readable, session, name), who, "read")
        else:
            yield _attempt(f"store {name}", partial(_store, session, name), who, "read, write, delete")
    for name, request in _readings(session).items():
        permission = f"{request.service}:{request.operation}"
        yield _attempt(name, partial(_read, session, request), who, permission)
    yield from _others(session)
    if isinstance(session.client, Examining):
        for document in session.client.examine():
            yield of_client(document)


def of_client(document: Document) -> Check:
    """A check that a client made. One that failed ends the command as a missing right does, or a missing thing."""
    verdict = Verdict(document["verdict"])
    missing = Denied if document.get("permission") else NotFound
    return Check(**{**document, "verdict": verdict}, exit_code=missing.exit_code if verdict is Verdict.ILL else 0)


def _readings(session: Session) -> dict[str, Request]:
    """One harmless request for each kind of thing."""
    adapter, environment = session.adapter, session.environment
    return {
        "jobs": adapter.jobs.find(JobQuery(page_size=1), environment, None),
        "models": adapter.models.list_models(environment, None),
        "endpoints": adapter.endpoints.list_endpoints(environment, None),
    }


def _others(session: Session) -> Iterator[Check]:
    """The identities that jobs and servers run as: only the platform could tell, when they run."""
    for identity, actions in session.adapter.config.permissions(session.environment).items():
        if identity != "caller" and actions:
            name = session.environment.identities.get(identity, identity)
            detail = f"{len(actions)} permissions, seen only when it acts; `mlinfra env permissions` lists them"
            yield Check(f"identity {identity}", Verdict.UNSEEN, detail, identity=name)


def _attempt(name: str, check: Callable[[], str], identity: str = "", permission: str = "") -> Check:
    try:
        return Check(name, Verdict.WELL, check())
    except MlinfraError as exc:
        return _ill(name, exc, identity, permission if isinstance(exc, Denied) else "")
    except OSError as exc:
        return _ill(name, Denied(f"{exc.strerror}: {exc.filename}", todo=f"make {exc.filename} writable for you"))


def _ill(name: str, exc: MlinfraError, identity: str = "", permission: str = "") -> Check:
    detail = exc.what if not exc.has_value else f"{exc.what} ({exc.given})"
    return Check(name, Verdict.ILL, detail, identity, permission, exc.todo or exc.allowed, exc.exit_code)


def _uv() -> str:
    if find_spec("uv") is None and shutil.which("uv") is None:
        raise CapabilityError("uv is missing, which resolves and installs the packages of jobs", todo="pip install uv")
    return "found"


def _server() -> str:
    missing = [name for name in SERVER_PARTS if find_spec(name) is None]
    if missing:
        raise CapabilityError(
            f"endpoints cannot start on this machine: {', '.join(missing)} missing",
            todo="pip install 'mlinfra-kit[serving]'",
        )
    return "its parts are installed"


def _writable(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return str(folder)


def _room(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise CapacityUnavailable(
            f"{free >> 20} MiB are free at {folder}, less than {LEAST_FREE >> 20} MiB", todo="make room on the disk"
        )
    return f"{free / (1 << 30):.1f} GiB free at {folder}"


def _caller(session: Session) -> str:
    return f"{session.caller.principal} in {session.caller.account or 'this machine'}"


def _store(session: Session, name: str) -> str:
    store = session.client.store(name)
    key = f"kit/doctor/{uuid.uuid4().hex}"
    content = key.encode()
    store.put(key, content)
    try:
        if store.get(key) != content:
            raise IntegrityError("the store gives back other bytes than it was given", given=store.uri(key))
    finally:
        store.delete(key)
    return store.uri("")


def _readable(session: Session, name: str) -> str:
    store = session.client.store(name)
    next(iter(store.list("kit/doctor/")), None)
    return f"{store.uri('')} may be read"


def _read(session: Session, request: Request) -> str:
    """Sent once and not tried again: here a failure is an answer."""
    session.pacer.acquire(request.quota)
    reply: Any = session.client.send(request)
    return "may be listed" if reply is not None else "nothing there"


def installed_platforms() -> list[str]:
    """The platforms that an adapter is installed for."""
    return adapters.platforms()
