"""A platform in memory: stores with conditions and faults, a registry whose lists may lag, clients that die."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlinfra.contract.adapter import Caller
from mlinfra.contract.capabilities import NATIVE, Capability
from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import ModelPage, VersionObservation, VersionPage
from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.states import Approval, VersionState
from mlinfra.contract.steps import Done, Send
from mlinfra.contract.store import ObjectInfo
from mlinfra.engine.folders import Folders
from mlinfra.engine.journal import Journal
from mlinfra.engine.pacer import Pacer
from mlinfra.engine.session import Session
from mlinfra.environment import Environment
from mlinfra.errors import Conflict, NotFound, Unavailable
from mlinfra.modelkit import Manifest
from mlinfra.modelkit.manifest import digest_file, package_files


class Killed(BaseException):
    """The process is gone: nothing that it would still do happens."""


class FakeClock:
    def __init__(self):
        self._lock = threading.Lock()
        self.time = 0.0
        self.skew = timedelta(0)

    def now(self):
        self.sleep(1e-6)  # no two moments are the same
        return self.true() + self.skew

    def true(self):
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time)

    def monotonic(self):
        return self.time

    def sleep(self, seconds):
        with self._lock:
            self.time += max(0.0, seconds)


class Faults:
    """What happens to a client's calls: it is killed at the nth, or answers get lost."""

    def __init__(self):
        self._lock = threading.Lock()
        self.calls = []
        self.kill_at = None
        self.after = False
        self.dead = False
        self.lose = []  # predicates on (place, operation): the effect happens, the answer is lost

    def call(self, place, operation, effect):
        with self._lock:
            if self.dead:
                raise Killed
            self.calls.append((place, operation))
            hit = self.kill_at is not None and len(self.calls) == self.kill_at
            if hit:
                self.dead = True
            if hit and not self.after:
                raise Killed
            result = effect()
            if hit:
                raise Killed
            for lost in self.lose:
                if lost(place, operation):
                    self.lose.remove(lost)
                    raise Unavailable("the answer was lost", retry_after=1.0)
            return result

    def count(self, operation):
        return sum(1 for _, name in self.calls if name == operation)


@dataclass
class Object:
    content: bytes
    etag: str
    metadata: dict[str, str]
    modified: datetime


class Bucket:
    """What a store holds, whoever looks at it."""

    def __init__(self, name, clock):
        self.name = name
        self.clock = clock
        self.objects: dict[str, Object] = {}
        self.etags = itertools.count(1)
        self.damage = None  # function (key, content) -> what is kept instead


class MemoryStore:
    """One client's view of a bucket."""

    def __init__(self, bucket, faults, *, metadata_in_lists=False):
        self._bucket = bucket
        self._faults = faults
        self._metadata_in_lists = metadata_in_lists

    def uri(self, key):
        return f"mem://{self._bucket.name}/{key}"

    def key(self, uri):
        base = f"mem://{self._bucket.name}/"
        if not uri.startswith(base):
            raise NotFound("outside this store", given=uri)
        return uri.removeprefix(base)

    def put(self, key, content, *, metadata=None, if_absent=False, if_match=None):
        return self._call("put", key, lambda: self._put(key, content, metadata, if_absent, if_match))

    def get(self, key):
        return self._call("get", key, lambda: self._object(key).content)

    def download(self, key, target):
        def fetch():
            target.write_bytes(self._object(key).content)

        return self._call("download", key, fetch)

    def head(self, key):
        return self._call("head", key, lambda: self._info(key) if key in self._bucket.objects else None)

    def list(self, prefix):
        def found():
            infos = [self._info(key) for key in sorted(self._bucket.objects) if key.startswith(prefix)]
            return infos if self._metadata_in_lists else [replace(info, metadata={}) for info in infos]

        yield from self._call("list", prefix, found)

    def delete(self, key):
        return self._call("delete", key, lambda: self._bucket.objects.pop(key, None))

    def _call(self, operation, key, effect):
        return self._faults.call(f"{self._bucket.name}/{key}", operation, effect)

    def _put(self, key, content, metadata, if_absent, if_match):
        existing = self._bucket.objects.get(key)
        if if_absent and existing is not None:
            raise Conflict("it exists", given=key)
        if if_match is not None and (existing is None or existing.etag != if_match):
            raise Conflict("it changed", given=key)
        data = content.read_bytes() if isinstance(content, Path) else bytes(content)
        if self._bucket.damage is not None:
            data = self._bucket.damage(key, data)
        etag = f'"{next(self._bucket.etags)}"'
        self._bucket.objects[key] = Object(data, etag, dict(metadata or {}), self._bucket.clock.true())
        return self._info(key)

    def _object(self, key):
        if key not in self._bucket.objects:
            raise NotFound("no such object", given=key)
        return self._bucket.objects[key]

    def _info(self, key):
        found = self._bucket.objects[key]
        return ObjectInfo(key, len(found.content), found.etag, found.modified, found.metadata)


@dataclass
class Row:
    """A version as the registry keeps it."""

    model: str
    version: int
    digest: str
    uri: str
    owner: str
    created: datetime
    visible: float
    aliases: list[str] = field(default_factory=list)
    stage: str = ""
    approval: str = "pending"
    lineage: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.model}:{self.version}"


class Registry:
    """The platform's registry. A create takes no name and no token, so sending it twice makes two versions."""

    def __init__(self, clock):
        self.clock = clock
        self.rows: list[Row] = []
        self.names: list[str] = []
        self.lag = 0.0  # seconds for which lists do not show a new version
        self.mark_lag = 0.0
        self.page = 100
        self.next_version: dict[str, int] = {}
        self._shown: dict[str, tuple[float, dict[str, Any]]] = {}

    def answer(self, operation, body):
        return getattr(self, f"_{operation}")(**body)

    def _create(self, model, digest, **details):
        number = self.next_version.get(model, 0) + 1
        self.next_version[model] = number
        if model not in self.names:
            self.names.append(model)
        row = Row(
            model, number, digest, created=self.clock.true(), visible=self.clock.monotonic() + self.lag, **details
        )
        self.rows.append(row)
        return self._document(row)

    def _find(self, model, digest):
        return {"versions": [each for each in self._list(model)["versions"] if each["digest"] == digest]}

    def _list(self, model, token=None):
        if model not in self.names:
            raise NotFound("no such model", given=model)
        rows = [row for row in self.rows if row.model == model and row.visible <= self.clock.monotonic()]
        rows = sorted(rows, key=lambda row: -row.version)
        start = int(token or 0)
        end = start + self.page
        found = {"versions": [self._document(row) for row in rows[start:end]]}
        return {**found, "token": str(end)} if end < len(rows) else found

    def _models(self, token=None):
        start = int(token or 0)
        end = start + self.page
        found = {"models": self.names[start:end]}
        return {**found, "token": str(end)} if end < len(self.names) else found

    def _mark(self, id, add=(), remove=(), stage=None, approval=None):  # noqa: A002  the platform's word
        row = self._row(id)
        if self.clock.monotonic() >= self._shown.get(id, (0.0, {}))[0]:
            self._shown[id] = (self.clock.monotonic() + self.mark_lag, self._marks(row))
        row.aliases = [each for each in row.aliases if each not in remove]
        row.aliases += [each for each in add if each not in row.aliases]
        row.stage = stage or row.stage
        row.approval = approval or row.approval
        return self._document(row)

    def _delete(self, id):  # noqa: A002  the platform's word
        self.rows.remove(self._row(id))
        return {}

    def _drop(self, model):
        if model not in self.names:
            raise NotFound("no such model", given=model)
        if any(row.model == model for row in self.rows):
            raise Conflict("the model is not empty", given=model)
        self.names.remove(model)
        return {}

    def _row(self, name):
        row = next((row for row in self.rows if row.name == name), None)
        if row is None:
            raise NotFound("no such version", given=name)
        return row

    def _marks(self, row):
        return {"aliases": list(row.aliases), "stage": row.stage, "approval": row.approval}

    def _document(self, row):
        until, old = self._shown.get(row.name, (0.0, {}))
        marks = old if self.clock.monotonic() < until else self._marks(row)
        fixed = ("model", "digest", "uri", "owner", "lineage", "metrics", "tags")
        return {
            **{name: getattr(row, name) for name in fixed},
            **marks,
            "id": row.name,
            "version": str(row.version),
            "created": row.created.isoformat(),
        }


class Renderer:
    """`render/models.py` of the platform in memory."""

    remove_first = False

    def observe(self, registration, _environment):
        return (_read("found", "find", model=registration.model, digest=registration.digest),)

    def next_step(self, registration, replies, _environment):
        found = (replies["found"] or {}).get("versions", [])
        if found:
            return Done(found[0])
        look = _read("found", "find", model=registration.model, digest=registration.digest)
        body = {
            "model": registration.model,
            "digest": registration.digest,
            "uri": registration.artefact.uri,
            "owner": registration.owner,
            "lineage": dict(registration.lineage),
            "metrics": dict(registration.metrics),
            "tags": dict(registration.tags),
        }
        return Send((Request("version", "registry", "create", body, lookup=Lookup(look, "versions")),))

    def list_models(self, _environment, token):
        return _read("models", "models", token=token)

    def list_versions(self, model, _environment, token):
        return _read("versions", "list", model=model, token=token)

    def mark(self, version, marks, siblings, _environment):
        add = {"id": version.native_id, "add": list(marks.add_aliases), "remove": list(marks.remove_aliases)}
        if marks.stage is not None:
            add["stage"] = marks.stage
        if marks.approval is not None:
            add["approval"] = marks.approval.value
        requests = [_effect("mark", "mark", **add)]
        for other in siblings:
            taken = [alias for alias in marks.add_aliases if alias in other.aliases]
            if taken:
                requests.append(_effect(f"unmark-{other.version}", "mark", id=other.native_id, remove=taken))
        return tuple(reversed(requests)) if self.remove_first else tuple(requests)

    def delete_version(self, version, _siblings, _environment):
        return (_effect("delete", "delete", id=version.native_id),)

    def delete_model(self, model, _environment):
        return (_effect("drop", "drop", model=model),)

    def console_url(self, version, _environment):
        return f"https://console.example/{version.native_id}"


class Observer:
    """`observe.py` of the platform in memory."""

    def version(self, reply, _environment):
        return VersionObservation(
            native_id=reply["id"],
            model=reply["model"],
            version=reply["version"],
            state=VersionState.READY,
            digest=reply["digest"],
            artefact=Artefact(reply["uri"], reply["digest"], is_folder=True),
            aliases=tuple(reply["aliases"]),
            stage=reply["stage"],
            approval=Approval(reply["approval"]),
            owner=reply["owner"],
            created=datetime.fromisoformat(reply["created"]),
            lineage=reply["lineage"],
            metrics=reply["metrics"],
            tags=reply["tags"],
        )

    def versions(self, reply, environment):
        found = tuple(self.version(each, environment) for each in reply["versions"])
        return VersionPage(found, reply.get("token"))

    def models(self, reply, _environment):
        return ModelPage(tuple(reply["models"]), reply.get("token"))


def _read(step, operation, **body):
    return Request(step, "registry", operation, body, effect=False)


def _effect(step, operation, **body):
    return Request(step, "registry", operation, body, repeatable=True)


class FakeClient:
    def __init__(self, place, faults, principal):
        self._place = place
        self._faults = faults
        self._principal = principal

    def caller(self):
        return Caller(self._place.account, self._principal)

    def send(self, request):
        effect = lambda: self._place.registry.answer(request.operation, request.body)  # noqa: E731
        return self._faults.call(request.service, request.operation, effect)

    def store(self, name="artefacts"):
        return MemoryStore(self._place.bucket(name), self._faults, metadata_in_lists=self._place.metadata_in_lists)

    def close(self):
        pass


class Place:
    """An environment's platform: what stays when clients come and go."""

    def __init__(self, name, clock, **fields):
        self.environment = Environment(name=name, platform="memory", account="42", **fields)
        self.account = "42"
        self.registry = Registry(clock)
        self.metadata_in_lists = False
        self._clock = clock
        self._buckets = {}

    def bucket(self, name="artefacts"):
        return self._buckets.setdefault(name, Bucket(f"{self.environment.name}-{name}", self._clock))

    @property
    def objects(self):
        return self.bucket().objects

    @property
    def versions(self):
        return [row.name for row in self.registry.rows]


class World:
    """Places, machines and people. Each session is a new process, and the processes of old sessions are dead."""

    def __init__(self, root, monkeypatch):
        self.clock = FakeClock()
        self.root = root
        self.said = []
        self.places = {}
        self.renderer = Renderer()
        self.capabilities = dict.fromkeys(Capability, NATIVE)
        self._pids = itertools.count(5_000_000)  # above what any kernel hands out
        self._monkeypatch = monkeypatch

    def place(self, name="dev", **fields):
        return self.places.setdefault(name, Place(name, self.clock, **fields))

    def session(self, place="dev", *, who="ann", machine="laptop", faults=None):
        pid = next(self._pids)
        self._monkeypatch.setattr(os, "getpid", lambda: pid)
        there = self.place(place)
        folders = Folders(project=self.root / machine / ".mlinfra", state=self.root / machine / "state").ensure()
        adapter = SimpleNamespace(
            platform="memory",
            capabilities=self.capabilities,
            models=self.renderer,
            observe=Observer(),
            config=SimpleNamespace(QUOTAS={}),
        )
        return Session(
            environment=there.environment,
            adapter=adapter,
            client=FakeClient(there, faults or Faults(), who),
            folders=folders,
            journal=Journal(folders.journal),
            pacer=Pacer(folders.pace(there.environment.id), {}, self.clock),
            clock=self.clock,
            say=self.said.append,
        )

    def heard(self, words):
        return any(words in said for said in self.said)


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path / "world", monkeypatch)


@pytest.fixture
def faults():
    return Faults


@pytest.fixture
def killed():
    return Killed


@pytest.fixture
def package(tmp_path):
    """A function that writes a model package of its own and returns its folder."""

    def write(name="model", content=b"weights", files=None, **fields):
        folder = tmp_path / "packages" / name
        folder.mkdir(parents=True)
        for path, data in {"model.txt": b"tree\n" + content, **(files or {})}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        digests = {path: digest_file(place) for path, place in package_files(folder).items()}
        Manifest(format="lightgbm", entry="model.txt", files=digests, **fields).write(folder)
        return folder

    return write


@pytest.fixture
def contents():
    """A function from a folder to {path: bytes}."""

    def read(folder):
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read


@pytest.fixture
def sha256():
    return lambda content: f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def survive():
    """A function that kills `attempt` at every call that it makes, before and after the effect, and runs it again.

    `attempt(faults)` does the work in a world of its own; it returns a function that judges what is there after a
    second, undisturbed run.
    """

    def survive(prepare):
        for after in (False, True):
            for nth in itertools.count(1):
                attempt, judge = prepare()
                faults = Faults()
                faults.kill_at, faults.after = nth, after
                try:
                    attempt(faults)
                except Killed:
                    pass
                else:
                    assert not faults.dead
                    break
                attempt(Faults())
                judge(f"killed {'after' if after else 'before'} call {nth}: {faults.calls[-1]}")

    return survive
