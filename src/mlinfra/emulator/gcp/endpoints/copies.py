"""Models' artifacts in a bucket of the service's own, where containers find them.

After the guide "Custom container requirements", section "Access model artifacts": the service agent copies what
`artifactUri` names; AIP_STORAGE_URI names the copy; the account that a container runs as may read it.
"""

from __future__ import annotations

import secrets
from threading import RLock
from typing import TYPE_CHECKING

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator

_READER = "roles/storage.objectViewer"
_DENIED = (
    'Service account `{agent}` does not have `[{permission}]` IAM permission(s) to the directory "{uri}". Please '
    "either copy the files to the Google Cloud Storage bucket owned by your project, or grant the required IAM "
    "permission(s) to the service account."
)
_EMPTY = 'There are no files under "{uri}" to copy.'


class Copies:
    """The copies of all models' artifacts. Thread-safe."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._lock = RLock()
        self._copies: dict[str, tuple[str, str]] = {}  # version -> what it names, and the copy
        tenant = f"{int(emulator.place.number):x}"
        self.bucket = f"caip-tenant-{tenant}"
        self.reader = f"custom-online-prediction@{tenant}-tp.iam.gserviceaccount.com"  # where no account is named
        self._prepared = False

    def make(self, uri: str) -> str:
        """Copy what a model's `artifact_uri` names, and return the copy's address; both empty where it has none.

        Raises:
            Refusal: FAILED_PRECONDITION, the service agent may not read it, or there is nothing.
        """
        self._prepare()
        return self._copy(uri.rstrip("/")) if uri else ""

    def keep(self, version: str, uri: str, copy: str) -> None:
        """Note whose a copy is: `version` is the model's name with `@` and the version's id."""
        with self._lock:
            self._copies[version] = (uri, copy)

    def of(self, version: str, uri: str) -> str:
        """The address of a version's copy, made now where it was not when the version was, as for one that was copied.

        Raises:
            Refusal: as `make`.
        """
        with self._lock:
            known, copy = self._copies.get(version, ("", ""))
            if known != uri:
                copy = self.make(uri)
                self.keep(version, uri, copy)
            return copy

    def open_to(self, account: str) -> None:
        """Let a service account read the copies, as the service does for one that a deployed model runs as."""
        self._prepare()
        bindings = self._emulator.identity.bindings
        bindings.grant(f"projects/_/buckets/{self.bucket}", _READER, f"serviceAccount:{account}")

    def _prepare(self) -> None:
        """Make the bucket, and the account that containers have by default."""
        with self._lock:
            if self._prepared:
                return
            self._prepared = True
            self._emulator.principals.create(self.reader)
            self._emulator.storage.create_bucket(self.bucket)
            self.open_to(self.reader)

    def _copy(self, uri: str) -> str:
        """Copy everything below an address, in the service agent's name."""
        storage, agent = self._emulator.storage, self._emulator.principals.agent
        target = f"gs://{self.bucket}/{secrets.randbelow(10**18)}/artifacts"
        bucket = uri.removeprefix("gs://").partition("/")[0]
        permission = "storage.objects.list"
        try:
            found = storage.list(f"{uri}/", agent)
            permission = "storage.objects.get"
            for each in found:
                storage.exists(f"gs://{bucket}/{each.name}", agent)
        except Refusal as exc:
            told = _DENIED.format(agent=agent, permission=permission, uri=uri)
            raise refusals.failed_precondition(told) from exc
        if not found:
            raise refusals.failed_precondition(_EMPTY.format(uri=uri))
        prefix = f"{uri}/".removeprefix(f"gs://{bucket}/")
        for each in found:
            storage.write(f"{target}/{each.name.removeprefix(prefix)}", each.file)
        return target
