"""What `env doctor` looks at on Google Cloud beyond what every platform has: rights, accounts, images, keys.

What the caller may not look at counts as not checked, never as well. Changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.catalog.gcp.permissions import CALLER, SERVER, TRAINER, policy, repository_of
from mlinfra.errors import Denied, MlinfraError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

    Call = Callable[[str, str, Mapping[str, Any]], Document]

PROBED = ("aiplatform.customJobs.list", "aiplatform.endpoints.list", "aiplatform.models.list", "aiplatform.models.get")
_WELL, _ILL, _UNSEEN = "ok", "failed", "not checked"
_HANDED_ON = (TRAINER, SERVER)  # accounts that callers give to jobs and endpoints; others are not theirs to look at
_BY_TAG = "by its tag, of which Artifact Registry tells when it is pulled; one by digest can be looked up"
_TESTED = {  # kind of resource -> the service that tells which permissions somebody has on it
    "projects": "cloudresourcemanager",
    "serviceAccounts": "iam",
}


def examine(environment: Environment, call: Call) -> Iterator[Document]:
    """Checks as documents, one after the other as they are made. `call` sends service, operation and body."""
    yield from _rights(environment, call)
    for name in (each for each in _HANDED_ON if each in environment.identities):
        email = environment.identities[name]
        place = f"projects/{environment.account}/serviceAccounts/{email}"
        yield _look(f"account {name}", email, call, ("iam", "GetServiceAccount", {"name": place}))
    for name, image in environment.images.items():
        repository = repository_of(image.uri)
        own = image.uri.split("/", 3)[3].replace("/", "%2F") if repository else ""
        if own and "@" not in own:
            yield {"name": f"image {name}", "verdict": _UNSEEN, "detail": f"{image.uri}: {_BY_TAG}"}
        elif own:
            asked = {"name": f"{repository}/dockerImages/{own}"}
            yield _look(f"image {name}", image.uri, call, ("artifactregistry", "GetDockerImage", asked))
    for name, key in environment.keys.items():
        yield _look(f"key {name}", key, call, ("cloudkms", "GetCryptoKey", {"name": key}))


def _rights(environment: Environment, call: Call) -> Iterator[Document]:
    """Each right that the kit uses, asked of IAM itself; those on buckets show in the store's own check."""
    found = policy(environment)
    asked: dict[str, dict[str, list[str]]] = {}
    for binding in found["bindings"]:
        own = binding["role"].rpartition("/")[2]
        if f"_{CALLER}_" in own and "condition" not in binding:
            asked.setdefault(binding["resource"], {})[own.rpartition("_")[2]] = found["roles"][own][
                "includedPermissions"
            ]
    for resource, tasks in asked.items():
        kind = resource.split("/")[-2]
        if kind in _TESTED:
            for task, needed in tasks.items():
                yield _right(task, needed, resource, (call, _TESTED[kind]))


def _right(task: str, needed: list[str], resource: str, ask: tuple[Call, str]) -> Document:
    call, service = ask
    own = resource.rpartition("/")[2]
    name = f"rights: {task}" if service == "cloudresourcemanager" else f"rights: act as {own.partition('@')[0]}"
    try:
        answer = call(service, "TestIamPermissions", {"resource": resource, "permissions": needed})
    except MlinfraError as exc:
        return {"name": name, "verdict": _UNSEEN, "detail": exc.what}
    refused = sorted(set(needed) - set(answer.get("permissions", ())))
    if not refused:
        return {"name": name, "verdict": _WELL, "detail": f"{len(needed)} permissions held"}
    return {
        "name": name,
        "verdict": _ILL,
        "detail": f"{len(refused)} of {len(needed)} permissions are not held",
        "identity": CALLER,
        "permission": ", ".join(refused),
        "fix": "`mlinfra env permissions --policy` prints the roles to hand to an administrator",
    }


def _look(name: str, what: str, call: Call, question: tuple[str, str, Document]) -> Document:
    try:
        call(*question)
    except NotFound:
        return {"name": name, "verdict": _ILL, "detail": f"{what} does not exist", "fix": "correct the environment"}
    except Denied as exc:
        detail = {"detail": exc.what, "permission": ".".join(question[:2])}
        return {"name": name, "verdict": _UNSEEN, **detail}
    except MlinfraError as exc:
        return {"name": name, "verdict": _UNSEEN, "detail": exc.what}
    return {"name": name, "verdict": _WELL, "detail": what}
