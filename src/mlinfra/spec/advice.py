"""What is valid and still worth a word before anything is sent."""

from collections.abc import Iterator

from mlinfra.spec.endpoint import EndpointSpec
from mlinfra.spec.job import JobSpec
from mlinfra.spec.problems import is_secret
from mlinfra.spec.spec import Spec


def warnings(spec: Spec) -> list[str]:
    """One line for each thing that will probably be regretted. Overlays count only after `for_environment`."""
    if isinstance(spec, JobSpec):
        return list(_about_job(spec))
    return list(_about_endpoint(spec)) if isinstance(spec, EndpointSpec) else []


def _about_job(job: JobSpec) -> Iterator[str]:
    if job.resources.spot and not job.checkpoint:
        yield (
            "resources.spot without checkpoint: an interruption loses all progress; "
            "keep it in the folder MLINFRA_CHECKPOINT and write `checkpoint: true`"
        )
    for name in filter(is_secret, job.env):
        yield f"env.{name} looks like a secret, and env is readable by whoever sees the job: use secrets"
    for name in filter(is_secret, job.params):
        yield f"params.{name} looks like a secret, and parameters are shown and logged: use secrets"


def _about_endpoint(endpoint: EndpointSpec) -> Iterator[str]:
    if endpoint.access.public:
        yield "access.public: anybody who knows the address may call"
    if endpoint.rollout.on_no_data == "advance":
        yield "rollout.on_no_data: advance: a version that nobody called takes all traffic unwatched"
