"""What a stack would have created: buckets, service accounts with their roles, images.

It is made from an environment's document, so that a stack's own document does; `made_up` writes one.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.identity import identities
from mlinfra.emulator.programs import KIT_SERVER
from mlinfra.environment import GcpEnvironment
from mlinfra.errors import Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.identity.principals import Credentials
    from mlinfra.emulator.gcp.names import Place

_PLAIN = (
    "storage",
    "logging",
    "monitoring",
    "oauth2",
    "secretmanager",
    "iam",
    "cloudresourcemanager",
    "artifactregistry",
)
_SERVING = "serving"  # the image that holds the kit's model server


class Seeded:
    """What has been seeded in one emulator."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self.identities: dict[str, str] = {}  # name -> e-mail
        self.default_bucket = ""
        self._made: set[str] = set()  # the service accounts that no stack made and gave what they may do

    def create(self, environment: GcpEnvironment) -> GcpEnvironment:
        """Make what is not there yet; an identity keeps what it has from other environments, or from its stack.

        Returns the environment with the addresses filled in.

        Raises:
            SpecError: a store or an identity is none of this project's; nothing was made.
        """
        emulator = self._emulator
        _check(environment)
        stores = {name: store.uri for name, store in environment.stores.items()}
        for uri in stores.values():
            emulator.storage.create_bucket(identities.bucket_of(uri))
        if stores:
            self.default_bucket = identities.bucket_of(stores.get("artefacts", next(iter(stores.values()))))
        for name, email in environment.identities.items():
            if not emulator.principals.exists(email):
                emulator.principals.create(email)
                self._made.add(email)
            self.identities[name] = email
        grounds = identities.Grounds(emulator.project, stores, dict(environment.identities))
        for name, email in environment.identities.items():
            if email not in self._made:
                continue
            for resource, role, condition in identities.grants(name, grounds):
                emulator.identity.bindings.grant(resource, role, f"serviceAccount:{email}", condition)
        for role, image in environment.images.items():
            emulator.artifacts.register(image.uri, image.python, command=KIT_SERVER if role == _SERVING else ())
        return self._filled(environment)

    def credentials(self, identity: str) -> Credentials | None:
        """What an identity shows, by name or e-mail; the same every time. None: nobody of that name was seeded."""
        email = self.identities.get(identity, identity)
        return self._emulator.principals.credentials(email) if self._emulator.principals.exists(email) else None

    def _filled(self, environment: GcpEnvironment) -> GcpEnvironment:
        emulator = self._emulator
        native = {
            **environment.native,
            "emulator": {"url": emulator.url, "folder": str(emulator.folder), "ca_file": str(emulator.ca_file)},
            "project_number": emulator.project_number,
        }
        deployer = self.credentials("deployer") if "deployer" in self.identities else None
        if deployer:
            native["credentials"] = deployer.as_document()
        endpoints = {"aiplatform": f"https://{emulator.secure}", **dict.fromkeys(_PLAIN, emulator.url)}
        return environment.model_copy(update={"emulated": True, "endpoints": endpoints, "native": native})


def _check(environment: GcpEnvironment) -> None:
    mine = re.compile(rf"[a-z][a-z0-9-]{{4,28}}[a-z0-9]@{re.escape(environment.account)}\.iam\.gserviceaccount\.com")
    problems = [
        Problem("not a bucket or a prefix in one", f"stores.{name}.uri", given=store.uri, allowed="gs://bucket/prefix")
        for name, store in environment.stores.items()
        if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?", store.uri)
    ]
    problems += [
        Problem("not a service account of the project", f"identities.{name}", given=email, allowed=mine.pattern)
        for name, email in environment.identities.items()
        if not mine.fullmatch(email)
    ]
    if problems:
        raise SpecError("an environment that no stack could have made", problems=problems)


def made_up(place: Place, name: str, changes: Mapping[str, Any]) -> GcpEnvironment:
    """An environment that nobody described: one bucket with a prefix for each store, four service accounts."""
    bucket = f"mlinfra-{name}-{place.number}"
    roles = ("deployer", "trainer", "server", "approver")
    registry = f"{place.region}-docker.pkg.dev/{place.project}/mlinfra"
    remote = f"{place.region}-docker.pkg.dev/{place.project}/dockerhub/library/python"
    document: dict[str, Any] = {
        "platform": "gcp",
        "name": name,
        "region": place.region,
        "account": place.project,
        "emulated": True,
        "stores": {
            store: {"uri": f"gs://{bucket}/{store}"} for store in ("artefacts", "data", "captures", "approvals")
        },
        "identities": {role: f"mlinfra-{role}@{place.project}.iam.gserviceaccount.com" for role in roles},
        "images": {
            "base": {"uri": f"{remote}@{_digest('base')}", "python": "3.11"},
            "serving": {"uri": f"{registry}/serving@{_digest('serving')}", "python": "3.11"},
        },
        "registries": {"images": registry},
    }
    return GcpEnvironment.model_validate({**document, **changes})


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
