"""What a stack would have created: the workspace, storage, identities with their roles, images.

It is made from an environment's document, so that a stack's own document does; `made_up` writes one.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.identity import grants
from mlinfra.emulator.azure.names import ML, own
from mlinfra.emulator.programs import KIT_SERVER
from mlinfra.environment import AzureEnvironment
from mlinfra.errors import Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.identity.principals import Credentials
    from mlinfra.emulator.azure.names import Place
    from mlinfra.emulator.azure.registry.workspaces import Workspace

_STORE = re.compile(
    r"https://(?P<account>[a-z0-9]{3,24})\.blob\.core\.windows\.net/(?P<container>[a-z0-9-]{3,63})(?:/.*)?"
)
_IDENTITY = "Microsoft.ManagedIdentity"
_SERVING = "serving"  # the image that holds the kit's model server


class Seeded:
    """What has been seeded in one emulator."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self.identities: dict[str, str] = {}  # name -> object id
        self._made: set[str] = set()  # the object ids of those that no stack made and gave what they may do
        self.group, self.workspace = emulator.place.resource_group, emulator.place.workspace  # of the last environment

    def create(self, environment: AzureEnvironment) -> AzureEnvironment:
        """Make what is not there yet; an identity keeps what it has from other environments, or from its stack.

        Returns the environment with the addresses filled in.

        Raises:
            SpecError: a store or an identity is none that a stack could have made; nothing was made.
        """
        _check(environment)
        emulator = self._emulator
        place = emulator.place
        stores = {name: _parts(store.uri) for name, store in environment.stores.items()}
        emulator.workspaces.create_group(environment.resource_group)
        for each in _settled(environment):
            place.settle(f"{place.group(environment.resource_group)}/providers/{each}")
        accounts = [store.options.get("account", "") for store in environment.stores.values()]
        for each in filter(None, (*accounts, *environment.native.get("elsewhere", {}).values())):
            place.settle(each)
        account = next((each[0] for each in stores.values()), "mlinfraemulated")
        workspace = f"{place.group(environment.resource_group)}/providers/{ML}/workspaces/{environment.workspace}"
        for each, container in stores.values():
            emulator.storage.create_container(each, container)
        made = emulator.workspaces.create(workspace, account)
        self.group, self.workspace = environment.resource_group, environment.workspace
        stores |= {name: (made.account, container) for name, container in made.containers().items()}
        for each in environment.compute.values():
            emulator.jobs.computes.create(workspace, each)
        if environment.registry:
            emulator.registries.create(environment.registry)
        self._identities(environment, made, stores)
        for role, image in environment.images.items():
            emulator.containers.register(image.uri, image.python, command=KIT_SERVER if role == _SERVING else ())
        return self._filled(environment)

    def credentials(self, identity: str) -> Credentials | None:
        """What an identity shows, by name or by any of its ids; the same every time. None: nobody of that name."""
        found = self._emulator.principals.find(self.identities.get(identity, identity))
        return self._emulator.principals.credentials(found.object_id) if found else None

    def _identities(
        self, environment: AzureEnvironment, workspace: Workspace, stores: Mapping[str, tuple[str, str]]
    ) -> None:
        emulator, place = self._emulator, self._emulator.place
        for name, resource_id in environment.identities.items():
            is_new = emulator.principals.find(resource_id) is None
            self.identities[name] = emulator.principals.create(own(resource_id), resource_id).object_id
            if is_new:
                self._made.add(self.identities[name])
        grounds = grants.Grounds(
            place.group(environment.resource_group),
            {name: _container_id(place, *parts) for name, parts in stores.items()},
            dict(environment.identities),
            workspace.id,
            place.id("Microsoft.Storage", "storageAccounts", workspace.account),
            tuple(_registry_id(place, uri) for uri in environment.registries.values()),
            tuple(_vault_id(place, uri) for uri in environment.vaults.values()),
            (place.id(ML, "registries", environment.registry),) if environment.registry else (),
        )
        granted = {
            **{name: own_id for name in environment.identities if (own_id := self.identities[name]) in self._made},
            grants.WORKSPACE: workspace.principal,
        }
        for name, role in grants.ROLES.items():
            emulator.assignments.define(name, role)
        named = {role.name: own_id for own_id, role in emulator.assignments.roles().items()}
        for name, principal in granted.items():
            for scope, wanted in grants.grants(name, grounds):
                emulator.assignments.assign(principal, named[wanted], scope)

    def _filled(self, environment: AzureEnvironment) -> AzureEnvironment:
        emulator = self._emulator
        native = {
            **environment.native,
            "emulator": {"url": emulator.url, "folder": str(emulator.folder), "ca_file": str(emulator.ca_file)},
            "tenant": emulator.place.tenant,
            "client_ids": {
                name: emulator.principals.credentials(each).principal.client_id
                for name, each in self.identities.items()
                if name in environment.identities
            },
        }
        deployer = self.credentials("deployer") if "deployer" in self.identities else None
        if deployer:
            native["credentials"] = deployer.as_document()
        services = ("management", "blob", "login", "scoring", "monitor", "history", "vault", "registry")
        endpoints = dict.fromkeys(services, emulator.secure)
        endpoints["vault"] = f"{emulator.secure}/vaults"
        return environment.model_copy(update={"emulated": True, "endpoints": endpoints, "native": native})


def _check(environment: AzureEnvironment) -> None:
    problems = [
        Problem("not a container of a storage account", f"stores.{name}.uri", given=store.uri, allowed=_STORE.pattern)
        for name, store in environment.stores.items()
        if not _STORE.fullmatch(store.uri)
    ]
    mine = re.compile(
        rf"/subscriptions/{environment.account}/resourceGroups/[^/]+/providers/{_IDENTITY}/userAssignedIdentities/[^/]+",
        re.IGNORECASE,
    )
    problems += [
        Problem(
            "not a user-assigned identity of the subscription", f"identities.{name}", given=each, allowed=mine.pattern
        )
        for name, each in environment.identities.items()
        if not mine.fullmatch(each)
    ]
    if problems:
        raise SpecError("an environment that no stack could have made", problems=problems)


def _settled(environment: AzureEnvironment) -> Iterator[str]:
    """What lies in the environment's group, without the group: the workspace, accounts, registries and vaults."""
    yield f"{ML}/workspaces/{environment.workspace}"
    for store in environment.stores.values():
        yield f"Microsoft.Storage/storageAccounts/{_parts(store.uri)[0]}"
    for uri in environment.registries.values():
        yield f"Microsoft.ContainerRegistry/registries/{uri.partition('.')[0]}"
    if environment.registry:
        yield f"{ML}/registries/{environment.registry}"
    for uri in environment.vaults.values():
        yield f"Microsoft.KeyVault/vaults/{uri.removeprefix('https://').partition('.')[0]}"


def made_up(place: Place, name: str, changes: Mapping[str, Any]) -> AzureEnvironment:
    """An environment that nobody described: one account with a container for each store, four identities."""
    account = "mlinfra" + hashlib.sha256(f"{place.subscription} {name}".encode()).hexdigest()[:12]
    registry = f"{account}.azurecr.io"
    roles = ("deployer", "trainer", "server", "approver")
    group = str(changes.get("resource_group", place.resource_group))
    identities = f"{place.group(group)}/providers/{_IDENTITY}/userAssignedIdentities"
    document: dict[str, Any] = {
        "platform": "azure",
        "name": name,
        "region": place.region,
        "account": place.subscription,
        "resource_group": place.resource_group,
        "workspace": place.workspace,
        "emulated": True,
        "stores": {
            store: {"uri": f"https://{account}.blob.core.windows.net/{store}"}
            for store in ("artefacts", "data", "captures", "approvals")
        },
        "identities": {role: f"{identities}/mlinfra-{role}" for role in roles},
        "images": {
            "base": {"uri": f"{registry}/python@{_digest('base')}", "python": "3.11"},
            "serving": {"uri": f"{registry}/serving@{_digest('serving')}", "python": "3.11"},
        },
        "registries": {"images": registry},
        "compute": {"cpu": "cpu-cluster"},
        "vaults": {"default": f"https://{account}.vault.azure.net"},
    }
    return AzureEnvironment.model_validate({**document, **changes})


def _parts(uri: str) -> tuple[str, str]:
    found = _STORE.fullmatch(uri)
    if found is None:
        raise AssertionError("stores were checked")
    return found["account"], found["container"]


def _container_id(place: Place, account: str, container: str) -> str:
    path = ("storageAccounts", account, "blobServices", "default", "containers", container)
    return place.id("Microsoft.Storage", *path)


def _registry_id(place: Place, uri: str) -> str:
    return place.id("Microsoft.ContainerRegistry", "registries", uri.partition(".")[0])


def _vault_id(place: Place, uri: str) -> str:
    return place.id("Microsoft.KeyVault", "vaults", uri.removeprefix("https://").partition(".")[0])


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
