"""What Vertex AI does itself, what the kit does there, and what cannot be had, with the reason."""

from __future__ import annotations

from mlinfra.contract.capabilities import NATIVE, Capability, absent, by_the_kit

_TOKENS = "Vertex AI answers requests of principals that IAM allows, and no others"

CAPABILITIES = {
    Capability.JOB_IMAGE: NATIVE,
    Capability.JOB_SHELL: NATIVE,
    Capability.JOB_SPOT: NATIVE,
    Capability.JOB_NODES: NATIVE,
    Capability.JOB_DISTRIBUTION: by_the_kit("the runner tells every node of the others; Vertex AI starts the nodes"),
    Capability.JOB_ACCELERATOR: NATIVE,
    Capability.JOB_DISK: NATIVE,
    Capability.JOB_SECRETS: by_the_kit("the runner reads Secret Manager as the job's service account"),
    Capability.JOB_MEMORY_LIMIT: absent("a container may use all the memory of its machine"),
    Capability.JOB_TIME_LIMIT: NATIVE,
    Capability.JOB_RETRIES: by_the_kit(
        "Vertex AI repeats a job after internal errors of its own; after missing capacity the kit begins the next "
        "attempt"
    ),
    Capability.JOB_METRICS: by_the_kit("a custom job has no metrics; the runner leaves them in the store"),
    Capability.JOB_LOGS: NATIVE,
    Capability.MODEL_ALIASES: NATIVE,
    Capability.MODEL_STAGE: by_the_kit("kept in a label of the version"),
    Capability.MODEL_APPROVAL: by_the_kit("kept in a label of the version, beside the decision in the store"),
    Capability.ENDPOINT_TRAFFIC: NATIVE,
    Capability.ENDPOINT_TARGET: by_the_kit(
        "a request to Vertex AI names no deployment: the kit asks until the one that is meant answers, and one without "
        "traffic never does"
    ),
    Capability.ENDPOINT_SHADOW: absent(
        "Vertex AI copies no requests, and one deployment's server has no address by which to reach another's"
    ),
    Capability.ENDPOINT_AUTOSCALE: NATIVE,
    Capability.ENDPOINT_SCALE_TO_ZERO: absent(
        "a deployed model keeps one replica at least; scaling to zero is in v1beta1 alone"
    ),
    Capability.ENDPOINT_SERVERLESS: absent("a deployed model of one's own has machines that stand by, one at least"),
    Capability.ENDPOINT_ASYNCHRONOUS: absent(
        "an endpoint of Vertex AI answers its caller; its batch jobs have no queue"
    ),
    Capability.ENDPOINT_CAPTURE: by_the_kit("the model server writes the records to the store"),
    Capability.ENDPOINT_CAPTURE_EXCLUDE: by_the_kit("the model server masks the columns"),
    Capability.ENDPOINT_PUBLIC: absent(_TOKENS),
    Capability.ENDPOINT_CALLERS: absent(
        f"{_TOKENS}: what an endpoint's callers need is aiplatform.endpoints.predict in a role of their own"
    ),
    Capability.ENDPOINT_ACCELERATOR: NATIVE,
    Capability.ENDPOINT_TTL: by_the_kit("nothing at Google ends an endpoint; `mlinfra env sweep` removes what is over"),
    Capability.ROLLOUT_NATIVE: absent("Vertex AI has no guard that takes a change of traffic back"),
}
