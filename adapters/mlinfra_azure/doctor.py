"""What `env doctor` looks at on Azure beyond what every platform has: rights, the workspace, identities, clusters.

Azure tells a caller its own rights on any scope (Permissions_ListForResource), so each one that the kit uses is looked
for there. What the caller may not look at counts as not checked, never as well. Changes nothing.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mlinfra.catalog.azure.permissions import CALLER, RIGHTS, SERVER, TRAINER, rights_of, scopes
from mlinfra.errors import Denied, MlinfraError, NotFound
from mlinfra_azure.places import resource, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlinfra.catalog.azure.permissions import Rights
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

    Look = Callable[[str, str, str], Document]  # operation, id, api-version

_PERMISSIONS = "/providers/Microsoft.Authorization/permissions"
_VERSIONS = {"permissions": "2022-04-01", "identities": "2023-01-31", "ml": "2025-12-01"}
_WELL, _ILL, _UNSEEN = "ok", "failed", "not checked"
_HANDED_ON = (TRAINER, SERVER)  # identities that callers give to jobs and endpoints; others are not theirs to look at


def examine(environment: Environment, look: Look) -> Iterator[Document]:
    """Checks as documents, one after the other as they are made. `look` reads a resource by its id."""
    yield from _rights(environment, look)
    own = workspace(environment)
    yield _there("workspace", own, look, ("Workspaces_Get", own, _VERSIONS["ml"]))
    for name in (each for each in _HANDED_ON if each in environment.identities):
        native_id = environment.identities[name]
        asked = ("UserAssignedIdentities_Get", native_id, _VERSIONS["identities"])
        yield _there(f"identity {name}", native_id, look, asked)
    for name, cluster in environment.compute.items():
        asked = ("Compute_Get", resource(environment, "computes", cluster), _VERSIONS["ml"])
        yield _there(f"cluster {name}", cluster, look, asked)


def _rights(environment: Environment, look: Look) -> Iterator[Document]:
    """Each right that the kit uses, held against what Azure says the caller has there."""
    told: dict[str, list[Document] | MlinfraError] = {}
    for task in RIGHTS[CALLER]:
        for scope in scopes(environment, CALLER, task):
            if scope not in told:
                told[scope] = _held(scope, look)
            yield _right(task, scope, rights_of(CALLER, task), told[scope])


def _held(scope: str, look: Look) -> list[Document] | MlinfraError:
    try:
        found = look("Permissions_ListForResource", f"{scope}{_PERMISSIONS}", _VERSIONS["permissions"])
    except MlinfraError as exc:
        return exc
    held: list[Document] = found.get("value", [])
    return held


def _right(task: str, scope: str, needed: Rights, held: list[Document] | MlinfraError) -> Document:
    name = f"rights: {task} on {scope.rpartition('/')[2]}"
    if isinstance(held, MlinfraError):
        return {"name": name, "verdict": _UNSEEN, "detail": held.what}
    refused = [each for each in needed.actions if not _allows(held, each, "actions", "notActions")]
    refused += [each for each in needed.data if not _allows(held, each, "dataActions", "notDataActions")]
    asked = len(needed.actions) + len(needed.data)
    if not refused:
        return {"name": name, "verdict": _WELL, "detail": f"{asked} actions held"}
    return {
        "name": name,
        "verdict": _ILL,
        "detail": f"{len(refused)} of {asked} actions are not held",
        "identity": CALLER,
        "permission": ", ".join(sorted(refused)),
        "fix": "`mlinfra env permissions --policy` prints the roles to hand to an administrator",
    }


def _allows(held: Iterable[Mapping[str, Any]], action: str, given: str, withheld: str) -> bool:
    """Whether one role allows an action: its exceptions take nothing from another's."""
    return any(_fits(action, role.get(given)) and not _fits(action, role.get(withheld)) for role in held)


def _fits(action: str, patterns: Iterable[str] | None) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns or ())


def _there(name: str, what: str, look: Look, question: tuple[str, str, str]) -> Document:
    try:
        look(*question)
    except NotFound:
        return {"name": name, "verdict": _ILL, "detail": f"{what} does not exist", "fix": "correct the environment"}
    except Denied as exc:
        return {"name": name, "verdict": _UNSEEN, "detail": exc.what, "permission": question[0]}
    except MlinfraError as exc:
        return {"name": name, "verdict": _UNSEEN, "detail": exc.what}
    return {"name": name, "verdict": _WELL, "detail": what}
