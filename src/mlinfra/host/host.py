"""The host: the machine at hand as a managed ML platform, in one folder. A library object, no server."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from mlinfra.errors import Conflict, Denied
from mlinfra.host import schema
from mlinfra.host.database import Database
from mlinfra.host.keys import check_bucket
from mlinfra.host.layout import PRIVATE, Layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlinfra.host.endpoints import Endpoints
    from mlinfra.host.interpreters import Image
    from mlinfra.host.jobs import Jobs
    from mlinfra.host.objects import ObjectStore
    from mlinfra.host.registry import Registry


class Host:
    """Jobs, models, endpoints and objects below one folder.

    Several processes and threads may use one folder at once. What must outlive its client runs as processes of
    its own that end when their work ends. Every call repairs what it finds broken: a job whose supervisor is dead,
    an endpoint whose gateway is dead.
    """

    def __init__(
        self, root: Path, *, slots: int = 0, images: Mapping[str, Image] | None = None, principal: str = ""
    ) -> None:
        """Open the folder, making it where it is new.

        `slots` is how many jobs may run at once, for every user of the folder from now on; 0 leaves it as it is, at
        first one per processor. `images` is what `image:` may name. `principal` is in whose name calls are made, by
        default the system's user.

        Raises:
            IntegrityError: the folder was written by another version of the kit, or its database is damaged.
            Denied: the folder may not be used.
        """
        self._layout = Layout(root.absolute())
        _make(self._layout.root)
        self._database = Database(self._layout.database, schema.HOST, schema.VERSION)
        self._images = dict(images or {})
        self._principal = principal or _user()
        self._account = self._settle("account", f"local-{uuid4().hex[:12]}")
        if slots:
            self._set("slots", str(slots))

    @property
    def root(self) -> Path:
        """The folder."""
        return self._layout.root

    @cached_property
    def _objects_database(self) -> Database:
        return Database(self._layout.objects_database, schema.OBJECTS, schema.VERSION)

    @cached_property
    def jobs(self) -> Jobs:
        """The operations on jobs."""
        from mlinfra.host.jobs import Jobs  # noqa: PLC0415  each family of operations is loaded on first use

        return Jobs(self._database, self._layout, self._images)

    @cached_property
    def registry(self) -> Registry:
        """The operations on models and their versions."""
        from mlinfra.host.registry import Registry  # noqa: PLC0415  loaded on first use

        return Registry(self._database, self._principal)

    @cached_property
    def endpoints(self) -> Endpoints:
        """The operations on endpoints and deployments."""
        from mlinfra.host.endpoints import Endpoints  # noqa: PLC0415  loaded on first use

        return Endpoints(self._database, self._layout, self._images)

    def objects(self, bucket: str) -> ObjectStore:
        """One bucket of the object store; it comes into being with its first object.

        Raises:
            UsageError: it is not a bucket's name.
        """
        from mlinfra.host.objects import ObjectStore  # noqa: PLC0415  loaded on first use

        return ObjectStore(self._objects_database, self._layout, bucket)

    def buckets(self) -> list[str]:
        """The names of all buckets, in order."""
        places = self._layout.buckets.iterdir() if self._layout.buckets.is_dir() else ()
        return sorted(place.name for place in places if not place.name.startswith("."))

    @property
    def slots(self) -> int:
        """How many jobs may run at once in this folder, whoever asked for it."""
        from mlinfra.host import jobtable  # noqa: PLC0415  loaded on first use

        with self._database.read() as connection:
            return jobtable.slots(connection)

    def create_bucket(self, bucket: str) -> None:
        """Make an empty bucket, as its first object would. Safe to repeat.

        Raises:
            UsageError: it is not a bucket's name.
        """
        self._layout.bucket(check_bucket(bucket)).mkdir(parents=True, exist_ok=True)

    def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket. Safe to repeat.

        Raises:
            Conflict: there are objects in it.
        """
        store = self.objects(bucket)
        if store.list(page_size=1).objects:
            raise Conflict("the bucket is not empty", given=bucket, todo="delete its objects first")
        with suppress(FileNotFoundError):
            self._layout.bucket(bucket).rmdir()

    def call(self, operation: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run one operation: JSON in, JSON out. `mlinfra.host.api` names the operations and their bodies.

        Raises:
            UsageError: there is no such operation.
            SpecError: the body is not what the operation takes; holds every problem.
            MlinfraError: whatever the operation raises.
        """
        from mlinfra.host import api  # noqa: PLC0415  who only stores objects needs no request models

        return api.call(self, operation, body or {})

    def identity(self) -> dict[str, Any]:
        """GetCallerIdentity: the folder's own id, and the caller's name."""
        return {"account": self._account, "principal": self._principal}

    def acting_as(self, principal: str) -> Host:
        """The same host, called in somebody's name, as an emulator does for its callers."""
        return Host(self.root, images=self._images, principal=principal)

    def close(self) -> None:
        """Close the databases. What runs goes on; the object opens them again when it is used."""
        self._database.close()
        self._objects_database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _settle(self, key: str, value: str) -> str:
        """A setting that the first user of the folder decides for all."""
        with self._database.read() as connection:
            row = connection.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        if row:
            return str(row["value"])
        with self._database.write() as connection:
            connection.execute("INSERT INTO settings VALUES (?, ?) ON CONFLICT DO NOTHING", (key, value))
        return self._settle(key, value)

    def _set(self, key: str, value: str) -> None:
        with self._database.read() as connection:
            row = connection.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        if row is None or row["value"] != value:
            with self._database.write() as connection:
                connection.execute("REPLACE INTO settings VALUES (?, ?)", (key, value))


def _make(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    except OSError as exc:
        raise Denied(
            "the host's folder cannot be made", given=f"{root}: {exc.strerror}", todo="name another folder"
        ) from exc


def _user() -> str:
    """The system's user, from the system and not from a variable that anybody may set."""
    with suppress(ImportError, KeyError):
        import pwd  # noqa: PLC0415  Unix alone has it

        return pwd.getpwuid(os.getuid()).pw_name
    return f"uid-{os.getuid()}" if hasattr(os, "getuid") else os.environ.get("USERNAME", "unknown")
