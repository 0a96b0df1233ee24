"""What each identity must be allowed, and no more: the tables of which `env permissions` prints roles and assignments.

Actions are those of Azure's own list of resource provider operations; data actions are what a service asks for about
its contents (blobs, secrets). A role is assigned on a scope: a resource, and all that lies in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from mlinfra.contract.locations import store_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

CALLER, TRAINER, SERVER, APPROVER = "caller", "trainer", "server", "approver"
_MEMBERS = {CALLER: "deployer"}  # whose name in the environment is another
_APPROVALS = "approvals"  # the store of decisions: a container of its own, since rights reach whole containers


class Rights(NamedTuple):
    """What a role allows: of Azure Resource Manager, and of what lies in resources."""

    actions: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


_ML = "Microsoft.MachineLearningServices"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_READ = Rights(data=(f"{_BLOBS}/read",))
_WRITE = Rights(
    ("Microsoft.Storage/storageAccounts/blobServices/containers/read",),
    (f"{_BLOBS}/add/action", f"{_BLOBS}/delete", f"{_BLOBS}/read", f"{_BLOBS}/write"),
)
_PULL = Rights(("Microsoft.ContainerRegistry/registries/pull/read",))
_PUSH = Rights((*_PULL.actions, "Microsoft.ContainerRegistry/registries/push/write"))
_ASSETS = ("codes", "environments", "models")


def _whole(*collections: str) -> tuple[str, ...]:
    """Reading, writing and deleting collections of a workspace."""
    return tuple(f"{_ML}/workspaces/{each}/{verb}" for each in collections for verb in ("delete", "read", "write"))


def _versioned(*collections: str) -> tuple[str, ...]:
    return (*_whole(*collections), *_whole(*(f"{each}/versions" for each in collections)))


_MODELS_MARKED = Rights(
    tuple(f"{_ML}/workspaces/models/{each}" for each in ("read", "versions/read", "versions/write"))
)

# Identity -> what it does -> its rights; what they are given on stands in `_PLACES`.
RIGHTS: Mapping[str, Mapping[str, Rights]] = {
    CALLER: {
        "workspace": Rights(
            (
                f"{_ML}/workspaces/read",
                f"{_ML}/workspaces/computes/read",
                f"{_ML}/workspaces/datastores/read",
            )
        ),
        "jobs": Rights(
            (
                *_whole("jobs"),
                f"{_ML}/workspaces/jobs/cancel/action",
                f"{_ML}/workspaces/experiments/runs/read",
            )
        ),
        "assets": Rights(_versioned(*_ASSETS)),
        "endpoints": Rights(
            (
                *_whole("onlineEndpoints", "onlineEndpoints/deployments"),
                f"{_ML}/workspaces/onlineEndpoints/deployments/getLogs/action",
                f"{_ML}/workspaces/onlineEndpoints/listKeys/action",
                f"{_ML}/workspaces/onlineEndpoints/score/action",
                f"{_ML}/workspaces/onlineEndpoints/token/action",
            )
        ),
        "metrics": Rights(("Microsoft.Insights/metrics/read",)),
        "scaling": Rights(
            tuple(f"Microsoft.Insights/autoscalesettings/{each}" for each in ("delete", "read", "write"))
        ),
        "registry": Rights(
            (f"{_ML}/registries/read", *(f"{_ML}/registries/assets/{each}" for each in ("delete", "read", "write")))
        ),
        "publishing": Rights((f"{_ML}/workspaces/models/versions/publish/action",)),
        "identities": Rights(
            tuple(f"Microsoft.ManagedIdentity/userAssignedIdentities/{each}" for each in ("assign/action", "read"))
        ),
        "objects": _WRITE,
        "decisions": _READ,
        "images": _PUSH,
    },
    TRAINER: {
        "tracking": Rights(
            (
                f"{_ML}/workspaces/read",
                f"{_ML}/workspaces/experiments/read",
                f"{_ML}/workspaces/experiments/runs/read",
                f"{_ML}/workspaces/experiments/runs/write",
            )
        ),
        "artefacts": _WRITE,
        "data": _READ,
        "secrets": Rights(data=("Microsoft.KeyVault/vaults/secrets/getSecret/action",)),
        "images": _PULL,
    },
    SERVER: {
        "packages": _READ,
        "captures": _WRITE,
        "images": _PULL,
    },
    APPROVER: {
        "workspace": Rights((f"{_ML}/workspaces/read",)),
        "models": _MODELS_MARKED,
        "records": _WRITE,
        "decisions": _WRITE,
    },
}


_OWN_RIGHTS = "Microsoft.Authorization/permissions/read"  # by which callers see what they may do: for `env doctor`


def rights_of(identity: str, task: str) -> Rights:
    """What one identity's role for a task allows."""
    rights = RIGHTS[identity][task]
    return Rights((*rights.actions, _OWN_RIGHTS), rights.data) if identity == CALLER else rights


def permissions(environment: Environment) -> dict[str, list[str]]:
    """Identity -> every action that the kit will use in its name; data actions among them."""
    return {
        identity: sorted(
            {
                each
                for task in tasks
                if scopes(environment, identity, task)
                for rights in rights_of(identity, task)
                for each in rights
            }
        )
        for identity, tasks in RIGHTS.items()
    }


def policy(environment: Environment) -> Document:
    """Custom roles, where each is assigned and to whom, and the commands of Azure's CLI that do it."""
    roles: Document = {}
    assignments: list[Document] = []
    for identity, tasks in RIGHTS.items():
        for task in tasks:
            places = scopes(environment, identity, task)
            if places:
                own = f"mlinfra-{environment.suffix}-{identity}-{task}"
                roles[own] = _role(environment, own, f"What the {identity} needs for {task}", rights_of(identity, task))
                assignments += [
                    {"role": own, "scope": scope, "assignee": _assignee(environment, identity)} for scope in places
                ]
    return {"roles": roles, "assignments": assignments, "commands": [*_commands(roles, assignments)]}


def _role(environment: Environment, own: str, description: str, rights: Rights) -> Document:
    """The document that `az role definition create` takes."""
    return {
        "Name": own,
        "IsCustom": True,
        "Description": f"{description} of environment {environment.name}",
        "Actions": sorted(rights.actions),
        "NotActions": [],
        "DataActions": sorted(rights.data),
        "NotDataActions": [],
        "AssignableScopes": [f"/subscriptions/{environment.account}"],
    }


def _assignee(environment: Environment, identity: str) -> str:
    return environment.identities.get(_MEMBERS.get(identity, identity), "") or f"<{identity}>"


def _commands(roles: Document, assignments: list[Document]) -> Iterator[str]:
    for own in roles:
        yield f"az role definition create --role-definition @{own}.json"
    for each in assignments:
        name = each["assignee"]
        principal = f"$(az identity show --ids {name} --query principalId --output tsv)" if "/" in name else name
        yield (
            f"az role assignment create --role '{each['role']}' --scope '{each['scope']}' "
            f"--assignee-object-id {principal} --assignee-principal-type ServicePrincipal"
        )


def scopes(environment: Environment, identity: str, task: str) -> list[str]:
    """What a task's rights are given on; nothing where the environment has none of it."""
    narrow = _PLACES.get((identity, task)) or _PLACES.get(("", task)) or _workspace
    return narrow(environment)


def _group(environment: Environment) -> str:
    return f"/subscriptions/{environment.account}/resourceGroups/{getattr(environment, 'resource_group', '')}"


def _workspace(environment: Environment) -> list[str]:
    return [f"{_group(environment)}/providers/{_ML}/workspaces/{getattr(environment, 'workspace', '')}"]


def _registry(environment: Environment) -> list[str]:
    name = getattr(environment, "registry", "")
    return [f"{_group(environment)}/providers/{_ML}/registries/{name}"] if name else []


def _container(environment: Environment, store: str) -> list[str]:
    """A store's container. An account of another group is named by `account` among the store's options."""
    if store not in environment.stores:
        return []
    parts = urlsplit(store_base(environment, store))
    account = environment.stores[store].options.get("account") or (
        f"{_group(environment)}/providers/Microsoft.Storage/storageAccounts/{(parts.hostname or '').partition('.')[0]}"
    )
    return [f"{account}/blobServices/default/containers/{parts.path.strip('/').partition('/')[0]}"]


def _stores(*stores: str) -> Callable[[Environment], list[str]]:
    """The containers of some stores, each once."""
    return lambda environment: list(dict.fromkeys(each for store in stores for each in _container(environment, store)))


def _callers_objects(environment: Environment) -> list[str]:
    """Whoever submits and deploys may read decisions and never write one."""
    return _stores(*(name for name in environment.stores if name != _APPROVALS))(environment)


def _first_of(*stores: str) -> Callable[[Environment], list[str]]:
    """The first of some stores that the environment has."""
    return lambda environment: next((found for store in stores if (found := _container(environment, store))), [])


def _identities(environment: Environment) -> list[str]:
    """What callers hand to jobs and endpoints."""
    return sorted({environment.identities[name] for name in (TRAINER, SERVER) if name in environment.identities})


def _images(environment: Environment) -> list[str]:
    """The container registries of the environment, `NAME.azurecr.io`."""
    hosts = {environment.registries.get("images", ""), *(each.uri for each in environment.images.values())}
    names = {host.partition("/")[0].partition(".")[0] for host in hosts if ".azurecr." in host.partition("/")[0]}
    return [_home(environment, "Microsoft.ContainerRegistry/registries", name) for name in sorted(names)]


def _vaults(environment: Environment) -> list[str]:
    """Key Vaults, `https://NAME.vault.azure.net`; an emulator's is `…/vaults/NAME`."""
    names = set()
    for address in environment.vaults.values():
        parts = urlsplit(address)
        inside = parts.path.strip("/").rpartition("/")[2]
        names.add(inside or (parts.hostname or "").partition(".")[0])
    return [_home(environment, "Microsoft.KeyVault/vaults", name) for name in sorted(names)]


def _home(environment: Environment, kind: str, name: str) -> str:
    """The id of what an address names: in the environment's group, or where `native.elsewhere` says."""
    elsewhere: Mapping[str, str] = environment.native.get("elsewhere") or {}
    return elsewhere.get(f"{kind}/{name}") or f"{_group(environment)}/providers/{kind}/{name}"


_PLACES: Mapping[tuple[str, str], Callable[[Environment], list[str]]] = {
    ("", "decisions"): _first_of(_APPROVALS, "artefacts"),
    ("", "identities"): _identities,
    ("", "images"): _images,
    ("", "registry"): _registry,
    ("", "secrets"): _vaults,
    (CALLER, "objects"): _callers_objects,
    (CALLER, "publishing"): lambda environment: _workspace(environment) if _registry(environment) else [],
    (CALLER, "scaling"): lambda environment: [_group(environment)],
    (TRAINER, "artefacts"): _stores("artefacts"),
    (TRAINER, "data"): _stores("data"),
    (SERVER, "packages"): _stores("artefacts"),
    (SERVER, "captures"): _first_of("captures", "artefacts"),
    (APPROVER, "records"): _stores("artefacts"),
}
