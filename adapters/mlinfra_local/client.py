"""The door to the host: the only file here that imports it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.contract.adapter import Caller
from mlinfra.contract.store import ObjectInfo
from mlinfra.errors import CapabilityError, KitFault, NotFound
from mlinfra.host import Host
from mlinfra.host.interpreters import Image
from mlinfra_local.config import CAPTURES, SERVICE, root, store_key, store_uri
from mlinfra_local.errors import translate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.host.objects import ObjectInfo as HostObjectInfo
    from mlinfra.host.objects import ObjectStore

ARTEFACTS = "artefacts"


def connect(environment: Environment) -> LocalClient:
    """A client of the host in the environment's folder; makes the folder where it is new."""
    return LocalClient(environment)


class LocalClient:
    """Safe to use from several threads. Every error is one of ours."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        with _translated():
            self._host = Host(
                Path(root(environment)),
                slots=environment.as_document().get("slots", 0),
                images={image.uri: Image(image.python) for image in environment.images.values() if image.python},
            )

    def caller(self) -> Caller:
        """The folder's own id, and the system's user."""
        identity = self._host.identity()
        return Caller(identity["account"], identity["principal"])

    def send(self, request: Request) -> Document:
        """Run one operation of the host.

        Raises:
            MlinfraError: what the operation raises.
        """
        if request.service != SERVICE:
            raise KitFault(f"platform local has no service {request.service}")
        with _translated():
            return self._host.call(request.operation, request.body)

    def store(self, name: str = ARTEFACTS) -> LocalStore:
        """A bucket of the host.

        Raises:
            NotFound: the environment names no such store.
        """
        known = {ARTEFACTS, *self._environment.stores}
        if name not in known:
            raise NotFound("the environment has no such store", given=name, allowed=", ".join(sorted(known)))
        return LocalStore(self._environment, self._host.objects(name))

    def native(self, kind: str, native_id: str) -> Any:
        """There is no vendor here.

        Raises:
            CapabilityError: always.
        """
        raise CapabilityError(
            "platform local has no vendor's SDK", given=f"{kind} {native_id}", todo="use the kit's own record of it"
        )

    def examine(self) -> list[Document]:
        """What `env doctor` shows of this platform: endpoints without a gateway, which nobody would notice."""
        with _translated():
            endpoints = self._host.call("ListEndpoints", {"page_size": 1000})["endpoints"]
        dead = [each["endpoint"] for each in endpoints if not each["gateway"]["alive"] and each["state"] == "ready"]
        told = {
            "detail": f"no gateway runs for {', '.join(dead)}",
            "fix": "`mlinfra endpoint show NAME` starts it again",
        }
        return [
            {"name": "gateways", "verdict": "failed" if dead else "ok", **(told if dead else {"detail": "all run"})}
        ]

    def close(self) -> None:
        """Close the host's databases."""
        self._host.close()


class LocalStore:
    """A bucket of the host as the contract's store."""

    def __init__(self, environment: Environment, objects: ObjectStore) -> None:
        self._environment = environment
        self._objects = objects

    def uri(self, key: str) -> str:
        """The file's address."""
        return store_uri(self._environment, self._objects.bucket, key)

    def key(self, uri: str) -> str:
        """The inverse of `uri`; takes `store://key` as well.

        Raises:
            NotFound: the address lies outside this store.
        """
        return store_key(self._environment, self._objects.bucket, uri)

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        """Write an object whole or not at all."""
        with _translated():
            written = self._objects.put(key, content, metadata=metadata, if_absent=if_absent, if_match=if_match)
        return _info(written)

    def get(self, key: str) -> bytes:
        """The whole content."""
        with _translated():
            return self._captured(key).read_bytes() if key.startswith(CAPTURES) else self._objects.get(key)

    def download(self, key: str, target: Path) -> None:
        """Stream an object into a file."""
        with _translated():
            self._objects.download(key, target)

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object."""
        with _translated():
            found = self._objects.head(key)
        return _info(found) if found else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects below a prefix in the order of their keys."""
        if prefix.startswith(CAPTURES):
            yield from self._captures(prefix)
            return
        token: str | None = None
        while True:
            with _translated():
                page = self._objects.list(prefix, page_token=token)
            yield from map(_info, page.objects)
            token = page.next_token
            if token is None:
                return

    def delete(self, key: str) -> None:
        """Remove an object."""
        with _translated():
            if key.startswith(CAPTURES):
                self._captured(key).unlink(missing_ok=True)
            else:
                self._objects.delete(key)

    def _captured(self, key: str) -> Path:
        return Path(root(self._environment)) / key

    def _captures(self, prefix: str) -> Iterator[ObjectInfo]:
        """The files that model servers have written; their size and time stand for an etag."""
        base = Path(root(self._environment))
        for path in sorted((base / prefix).rglob("*")):
            if path.is_file():
                about = path.stat()
                modified = datetime.fromtimestamp(about.st_mtime, UTC)
                etag = f"{about.st_size}-{about.st_mtime_ns}"
                yield ObjectInfo(path.relative_to(base).as_posix(), about.st_size, etag, modified)


def _info(info: HostObjectInfo) -> ObjectInfo:
    return ObjectInfo(info.key, info.size, info.etag, info.modified, info.metadata)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        ours = translate(exc)
        if ours is exc:
            raise
        raise ours from exc
