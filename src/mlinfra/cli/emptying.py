"""Takes out of an environment what the kit made in it, before its stack takes the environment away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.api import Environment

MARK = "mlinfra_"  # how every tag of the kit's own begins
SHELLS = "shells"  # in an environment's `native`: the endpoints that the stack makes and the kit only fills, by name


def empty(environment: Environment, say: Callable[[str], None]) -> dict[str, list[str]]:
    """Delete endpoints, stop and delete jobs, delete models: what bears the kit's tags, and nothing else.

    A stack's shells are emptied and stay, since their stack takes them away.

    Returns what was deleted, by kind. Safe to repeat: what is gone is no longer found.
    """
    return {
        "endpoints": _endpoints(environment, say),
        "jobs": _jobs(environment, say),
        "models": _models(environment, say),
    }


def _endpoints(environment: Environment, say: Callable[[str], None]) -> list[str]:
    deleted = []
    shells = environment.description.native.get(SHELLS) or {}
    for endpoint in environment.endpoints.list():
        observed = endpoint.observed if endpoint.observed.complete else endpoint.refresh().observed
        is_filled = endpoint.name in shells and bool(observed.deployments)
        if observed.owned_by_stack or not (_is_ours(observed.tags) or is_filled):
            continue
        say(f"deleting endpoint {endpoint.name}")
        environment.endpoints.delete(endpoint.name)
        deleted.append(endpoint.name)
    return deleted


def _jobs(environment: Environment, say: Callable[[str], None]) -> list[str]:
    deleted = []
    for job in environment.jobs.list():
        if not job.observed.id:
            continue
        if not job.observed.state.terminal:
            say(f"stopping job {job.name}")
            job.stop()
        say(f"deleting job {job.name}")
        job.delete()
        deleted.append(job.handle)
    return deleted


def _models(environment: Environment, say: Callable[[str], None]) -> list[str]:
    deleted = []
    for model in environment.models.list():
        for version in list(environment.models.versions(model)):
            if version.observed.digest:
                say(f"deleting model {version.name}")
                deleted.append(environment.models.delete_version(version.name, force=True))
    return deleted


def _is_ours(tags: Mapping[str, str]) -> bool:
    return any(name.startswith(MARK) for name in tags)
