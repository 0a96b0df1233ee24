"""Who is seeded, and what a stack would let each of them do: no more than its part needs.

`deployer` calls for people and pipelines, `trainer` and `server` are what jobs and endpoints run as, `approver` is
the only one who writes approvals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Grant = tuple[str, str, str]  # resource, role, condition

_READ, _WRITE = "roles/storage.objectViewer", "roles/storage.objectUser"


@dataclass(frozen=True)
class Grounds:
    """What grants name: the project, the stores by name, the identities."""

    project: str
    stores: Mapping[str, str]  # name -> gs:// address
    identities: Mapping[str, str]  # name -> e-mail

    def buckets(self) -> list[str]:
        """Relative names of all buckets."""
        return sorted({f"projects/_/buckets/{bucket_of(uri)}" for uri in self.stores.values()})

    def objects(self, role: str, *names: str) -> Iterator[Grant]:
        """A role on the objects in the stores of those names."""
        for name in names:
            uri = self.stores.get(name)
            if uri:
                bucket, _, prefix = uri.removeprefix("gs://").partition("/")
                resource = f"projects/_/buckets/{bucket}"
                folder = f"{prefix.strip('/')}/" if prefix else ""
                yield resource, role, f'resource.name.startsWith("{resource}/objects/{folder}")'

    def account(self, name: str) -> str:
        """The relative name of a service account, on which acting in its name is granted."""
        return f"projects/{self.project}/serviceAccounts/{self.identities[name]}"


def grants(identity: str, grounds: Grounds) -> list[Grant]:
    """What one identity is granted; nothing where it is none of ours."""
    return list(_GRANTS[identity](grounds)) if identity in _GRANTS else []


def bucket_of(uri: str) -> str:
    """The bucket of a gs:// address."""
    return uri.removeprefix("gs://").partition("/")[0]


def _listing(grounds: Grounds) -> Iterator[Grant]:
    for bucket in grounds.buckets():
        yield bucket, "roles/storage.legacyBucketReader", ""


def _deployer(grounds: Grounds) -> Iterator[Grant]:
    project = f"projects/{grounds.project}"
    for role in ("aiplatform.user", "logging.viewer", "monitoring.viewer", "artifactregistry.writer", "browser"):
        yield project, f"roles/{role}", ""
    for name in ("trainer", "server"):
        if name in grounds.identities:
            yield grounds.account(name), "roles/iam.serviceAccountUser", ""
    yield from _listing(grounds)
    yield from grounds.objects(_WRITE, *(name for name in grounds.stores if name != "approvals"))
    yield from grounds.objects(_READ, "approvals")


def _worker(grounds: Grounds) -> Iterator[Grant]:
    project = f"projects/{grounds.project}"
    for role in ("logging.logWriter", "monitoring.metricWriter", "artifactregistry.reader"):
        yield project, f"roles/{role}", ""
    yield from _listing(grounds)


def _trainer(grounds: Grounds) -> Iterator[Grant]:
    yield from _worker(grounds)
    yield f"projects/{grounds.project}", "roles/secretmanager.secretAccessor", ""
    yield from grounds.objects(_WRITE, *(name for name in grounds.stores if name not in {"approvals", "captures"}))


def _server(grounds: Grounds) -> Iterator[Grant]:
    yield from _worker(grounds)
    yield from grounds.objects(_READ, "artefacts", "data")
    yield from grounds.objects(_WRITE, "captures")


def _approver(grounds: Grounds) -> Iterator[Grant]:
    project = f"projects/{grounds.project}"
    for role in ("aiplatform.viewer", "browser"):
        yield project, f"roles/{role}", ""
    yield from _listing(grounds)
    yield from grounds.objects(_READ, *(name for name in grounds.stores if name != "approvals"))
    yield from grounds.objects(_WRITE, "approvals")


_GRANTS: dict[str, Callable[[Grounds], Iterator[Grant]]] = {
    "deployer": _deployer,
    "trainer": _trainer,
    "server": _server,
    "approver": _approver,
}
