"""Members of roles, each on something: a project, a bucket, a service account, a repository of images.

Buckets and repositories have no policies in the emulator's interfaces, so that its table of bindings is written; it
makes each change as one, which the provider does by etags and a lock of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.provisioning import Kind, Made, Refused, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.gcp.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs


def _member(where: Callable[[Cloud, Inputs], str]) -> Kind[Cloud]:
    """One member of one role on what the inputs name. Every input replaces it, so that nothing changes in place."""

    def create(cloud: Cloud, declared: Declared) -> Made:
        inputs = declared.inputs
        try:
            cloud.emulator.identity.bindings.grant(
                where(cloud, inputs), inputs["role"], inputs["member"], _condition(inputs)
            )
        except Refusal as exc:
            raise Refused(exc.message) from exc
        return Made(declared.id)

    def read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
        inputs = declared.inputs
        wanted = (inputs["role"], _condition(inputs))
        bound = cloud.emulator.identity.bindings.of(where(cloud, inputs))
        there = any(inputs["member"] in each.members for each in bound if (each.role, each.condition) == wanted)
        return {} if there else None

    def delete(cloud: Cloud, declared: Declared) -> None:
        inputs = declared.inputs
        cloud.emulator.identity.bindings.revoke(
            where(cloud, inputs), inputs["role"], inputs["member"], _condition(inputs)
        )

    return Kind(create, delete, read, same)


def _condition(inputs: Inputs) -> str:
    return str((inputs.get("condition") or {}).get("expression", ""))


def _project(_cloud: Cloud, inputs: Inputs) -> str:
    return f"projects/{inputs['project'].removeprefix('projects/')}"


def _bucket(_cloud: Cloud, inputs: Inputs) -> str:
    return f"projects/_/buckets/{inputs['bucket'].removeprefix('b/')}"


def _account(_cloud: Cloud, inputs: Inputs) -> str:
    return str(inputs["serviceAccountId"])


def _repository(cloud: Cloud, inputs: Inputs) -> str:
    project, location = inputs.get("project") or cloud.project, inputs.get("location") or cloud.emulator.region
    return f"projects/{project}/locations/{location}/repositories/{inputs['repository'].rpartition('/')[2]}"


KINDS: dict[str, Kind[Cloud]] = {
    "gcp:projects/iAMMember:IAMMember": _member(_project),
    "gcp:storage/bucketIAMMember:BucketIAMMember": _member(_bucket),
    "gcp:serviceaccount/iAMMember:IAMMember": _member(_account),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": _member(_repository),
}
