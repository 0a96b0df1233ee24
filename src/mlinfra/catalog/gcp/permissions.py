"""What each identity must be allowed, and no more: the tables from which `env permissions` prints roles and bindings.

Permissions and what they can be narrowed to follow Google's IAM reference. Vertex AI's jobs, models and endpoints take
no binding of their own, so rights on them reach the whole project; buckets' objects are narrowed by their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlinfra.contract.locations import store_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

CALLER, TRAINER, SERVER, APPROVER = "caller", "trainer", "server", "approver"
_MEMBERS = {CALLER: "deployer"}  # whose name in the environment is another

_READ = ("storage.objects.get",)
_WRITE = (
    "storage.objects.create",
    "storage.objects.delete",  # an object that is written over counts as deleted
    "storage.objects.get",
    "storage.objects.update",
    "storage.multipartUploads.abort",
    "storage.multipartUploads.create",
    "storage.multipartUploads.listParts",
)
_LIST = ("storage.buckets.get", "storage.objects.list")
_PULL = ("artifactregistry.repositories.downloadArtifacts",)

# Identity -> what it does -> permissions; what it does is narrowed by `_PLACES`.
_PERMISSIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    CALLER: {
        "jobs": (
            "aiplatform.customJobs.cancel",
            "aiplatform.customJobs.create",
            "aiplatform.customJobs.delete",
            "aiplatform.customJobs.get",
            "aiplatform.customJobs.list",
        ),
        "models": (
            "aiplatform.models.delete",
            "aiplatform.models.get",
            "aiplatform.models.list",
            "aiplatform.models.update",
            "aiplatform.models.upload",
        ),
        "endpoints": (
            "aiplatform.endpoints.create",
            "aiplatform.endpoints.delete",
            "aiplatform.endpoints.deploy",
            "aiplatform.endpoints.get",
            "aiplatform.endpoints.list",
            "aiplatform.endpoints.predict",
            "aiplatform.endpoints.undeploy",
            "aiplatform.endpoints.update",
        ),
        "operations": ("aiplatform.operations.list",),
        "logs": ("logging.logEntries.list",),
        "metrics": ("monitoring.timeSeries.list",),
        "accounts": ("iam.serviceAccounts.actAs", "iam.serviceAccounts.get"),
        "objects": _WRITE,
        "decisions": _READ,
        "buckets": _LIST,
        "images": ("artifactregistry.dockerimages.get", *_PULL),
        "pushed_images": ("artifactregistry.repositories.uploadArtifacts", *_PULL),
    },
    TRAINER: {
        "inputs": _READ,
        "outputs": _WRITE,
        "buckets": _LIST,
        "logs": ("logging.logEntries.create",),
        "secrets": ("secretmanager.versions.access",),
        "images": _PULL,
    },
    SERVER: {
        "models": _READ,
        "captures": _WRITE,
        "buckets": _LIST,
        "logs": ("logging.logEntries.create",),
        "metrics": ("monitoring.timeSeries.create",),
        "images": _PULL,
    },
    APPROVER: {
        "models": ("aiplatform.models.get", "aiplatform.models.list", "aiplatform.models.update"),
        "decisions": _WRITE,
        "records": _WRITE,
        "packages": _READ,
        "buckets": _LIST,
    },
}


class Place(NamedTuple):
    """What a role is bound on: a resource's relative name, and the condition that narrows it."""

    resource: str
    condition: str = ""


def permissions(environment: Environment) -> dict[str, list[str]]:
    """Identity -> every permission that the kit will use in its name."""
    return {
        identity: sorted(
            {each for task, needed in tasks.items() for each in needed if _places(environment, identity, task)}
        )
        for identity, tasks in _PERMISSIONS.items()
    }


def policy(environment: Environment) -> Document:
    """Custom roles of the project, where each is bound and to whom, and the commands of gcloud that do it."""
    roles: Document = {}
    bindings: list[Document] = []
    for identity, tasks in _PERMISSIONS.items():
        for task, needed in tasks.items():
            places = _places(environment, identity, task)
            if places:
                own = f"mlinfra_{environment.suffix}_{identity}_{task}"
                roles[own] = _role(environment, identity, task, needed)
                bindings += [_binding(environment, identity, own, place) for place in places]
    return {"roles": roles, "bindings": bindings, "commands": [*_commands(environment, roles, bindings)]}


def _role(environment: Environment, identity: str, task: str, needed: tuple[str, ...]) -> Document:
    """The file that `gcloud iam roles create --file` takes."""
    return {
        "title": f"mlinfra {environment.name}: {identity}, {task}",
        "description": f"What the {identity} of environment {environment.name} needs for {task}",
        "stage": "GA",
        "includedPermissions": sorted(needed),
    }


def _binding(environment: Environment, identity: str, own: str, place: Place) -> Document:
    email = environment.identities.get(_MEMBERS.get(identity, identity), "")
    binding: Document = {
        "resource": place.resource,
        "role": f"projects/{environment.account}/roles/{own}",
        "member": f"serviceAccount:{email}" if email else f"<{identity}>",
    }
    if place.condition:
        binding["condition"] = {"title": own, "expression": place.condition}
    return binding


def _commands(environment: Environment, roles: Document, bindings: list[Document]) -> Iterator[str]:
    for own, role in roles.items():
        yield (
            f"gcloud iam roles create {own} --project={environment.account} --stage=GA --title='{role['title']}' "
            f"--permissions={','.join(role['includedPermissions'])}"
        )
    for binding in bindings:
        condition = binding.get("condition")
        narrowed = f"^;^expression={condition['expression']};title={condition['title']}" if condition else "None"
        target = _target(environment, binding["resource"])
        yield (f"gcloud {target} --member='{binding['member']}' --role='{binding['role']}' --condition='{narrowed}'")


def _target(environment: Environment, resource: str) -> str:
    """The command that binds on a resource, by what the resource is."""
    own = resource.rpartition("/")[2]
    if "/buckets/" in resource:
        return f"storage buckets add-iam-policy-binding gs://{own}"
    if "/serviceAccounts/" in resource:
        return f"iam service-accounts add-iam-policy-binding {own} --project={environment.account}"
    if "/repositories/" in resource:
        _, project, _, location, *_ = resource.split("/")
        return f"artifacts repositories add-iam-policy-binding {own} --location={location} --project={project}"
    return f"projects add-iam-policy-binding {own}"


def _places(environment: Environment, identity: str, task: str) -> list[Place]:
    """What a task is narrowed to; the project where the service takes nothing less."""
    narrow = _PLACES.get((identity, task)) or _PLACES.get(("", task))
    return narrow(environment) if narrow else [Place(f"projects/{environment.account}")]


def _objects(environment: Environment, store: str, *prefixes: str, besides: str = "") -> list[Place]:
    """The objects of a store below some prefixes; nothing where the environment has no such store."""
    if store not in environment.stores:
        return []
    bucket, _, inside = store_base(environment, store).removeprefix("gs://").partition("/")
    resource = f"projects/_/buckets/{bucket}"
    base = f"{resource}/objects/{inside}/" if inside else f"{resource}/objects/"
    starts = " || ".join(f'resource.name.startsWith("{base}{prefix}")' for prefix in prefixes or ("",))
    if besides:
        starts = f'{starts} && !resource.name.startsWith("{base}{besides}")'
    return [Place(resource, starts)]


def _decisions(environment: Environment) -> list[Place]:
    """Decisions have a store of their own, or a prefix among the artefacts."""
    if "approvals" in environment.stores:
        return _objects(environment, "approvals")
    return _objects(environment, "artefacts", "approvals/")


def _callers_objects(environment: Environment) -> list[Place]:
    """Whoever submits and deploys may read decisions and never write one."""
    besides = "" if "approvals" in environment.stores else "approvals/"
    return [
        place
        for name in environment.stores
        if name != "approvals"
        for place in _objects(environment, name, besides=besides if name == "artefacts" else "")
    ]


def _captures(environment: Environment) -> list[Place]:
    return _objects(environment, "captures") or _objects(environment, "artefacts", "captures/")


def _buckets(environment: Environment) -> list[Place]:
    names = {store_base(environment, name).removeprefix("gs://").partition("/")[0] for name in environment.stores}
    return [Place(f"projects/_/buckets/{name}") for name in sorted(names)]


def _accounts(environment: Environment) -> list[Place]:
    emails = sorted({environment.identities[name] for name in (TRAINER, SERVER) if name in environment.identities})
    return [Place(f"projects/{environment.account}/serviceAccounts/{email}") for email in emails]


def _repositories(environment: Environment) -> list[Place]:
    """The repositories of the environment's images: `<region>-docker.pkg.dev/<project>/<repository>/…`."""
    found = {place for image in environment.images.values() if (place := repository_of(image.uri))}
    return [Place(name) for name in sorted(found)]


def _own_repository(environment: Environment) -> list[Place]:
    """Where images of one's own are pushed."""
    own = environment.registries.get("images", "")
    name = repository_of(f"{own}/any") if own else ""
    return [Place(name)] if name else []


def repository_of(uri: str) -> str:
    """The relative name of an image's repository in Artifact Registry; empty for one of another registry."""
    host, _, path = uri.partition("/")
    parts = path.split("/")
    if not host.endswith("-docker.pkg.dev") or len(parts) < 3:  # noqa: PLR2004  project, repository, image
        return ""
    return f"projects/{parts[0]}/locations/{host.removesuffix('-docker.pkg.dev')}/repositories/{parts[1]}"


def _vaults(environment: Environment) -> list[Place]:
    """Projects, or the secrets in one whose names begin so; IAM knows a secret by its project's number."""
    found = []
    for vault in sorted(set(environment.vaults.values())) or [f"projects/{environment.account}"]:
        project, narrowed, start = vault.partition("/secrets/")
        number = environment.native.get("project_number", project.rpartition("/")[2])
        name = f'resource.name.startsWith("projects/{number}/secrets/{start}")' if narrowed else ""
        found.append(Place(project, name))
    return found


_PLACES: Mapping[tuple[str, str], Callable[[Environment], list[Place]]] = {
    ("", "accounts"): _accounts,
    ("", "buckets"): _buckets,
    ("", "decisions"): _decisions,
    ("", "images"): _repositories,
    ("", "pushed_images"): _own_repository,
    ("", "secrets"): _vaults,
    (CALLER, "objects"): _callers_objects,
    (TRAINER, "inputs"): lambda environment: [
        *_objects(environment, "artefacts", "code/", "inputs/", "wheels/", "models/"),
        *_objects(environment, "data"),
    ],
    (TRAINER, "outputs"): lambda environment: _objects(environment, "artefacts", "jobs/", "checkpoints/"),
    (SERVER, "models"): lambda environment: _objects(environment, "artefacts", "models/"),
    (SERVER, "captures"): _captures,
    (APPROVER, "records"): lambda environment: _objects(environment, "artefacts", "kit/"),
    (APPROVER, "packages"): lambda environment: _objects(environment, "artefacts", "models/"),
}
