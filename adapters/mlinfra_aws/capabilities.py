"""What SageMaker does itself, what the kit does there, and what cannot be had, with the reason."""

from __future__ import annotations

from mlinfra.contract.capabilities import NATIVE, Capability, absent, by_the_kit

_SIGNED = "SageMaker answers signed requests of principals that IAM allows, and no others"

CAPABILITIES = {
    Capability.JOB_IMAGE: NATIVE,
    Capability.JOB_SHELL: NATIVE,
    Capability.JOB_SPOT: NATIVE,
    Capability.JOB_NODES: NATIVE,
    Capability.JOB_DISTRIBUTION: by_the_kit("the runner tells every node of the others; SageMaker starts the nodes"),
    Capability.JOB_ACCELERATOR: NATIVE,
    Capability.JOB_DISK: NATIVE,
    Capability.JOB_SECRETS: by_the_kit("the runner reads Secrets Manager as the job's own role"),
    Capability.JOB_MEMORY_LIMIT: absent("a container may use all the memory of its machine"),
    Capability.JOB_TIME_LIMIT: NATIVE,
    Capability.JOB_RETRIES: by_the_kit(
        "SageMaker repeats a job after internal errors of its own; after missing capacity the kit begins the next "
        "attempt"
    ),
    Capability.JOB_METRICS: NATIVE,
    Capability.JOB_LOGS: NATIVE,
    Capability.MODEL_ALIASES: by_the_kit("kept in the versions' customer metadata"),
    Capability.MODEL_STAGE: NATIVE,
    Capability.MODEL_APPROVAL: NATIVE,
    Capability.ENDPOINT_TRAFFIC: NATIVE,
    Capability.ENDPOINT_TARGET: NATIVE,
    Capability.ENDPOINT_SHADOW: absent(
        "SageMaker takes a shadow beside one production variant alone, which leaves no room for a new version to "
        "become ready"
    ),
    Capability.ENDPOINT_AUTOSCALE: NATIVE,
    Capability.ENDPOINT_SCALE_TO_ZERO: absent(
        "servers that stand by are one or more; `serverless` is how SageMaker has none while nobody asks"
    ),
    Capability.ENDPOINT_SERVERLESS: NATIVE,
    Capability.ENDPOINT_ASYNCHRONOUS: NATIVE,
    Capability.ENDPOINT_CAPTURE: NATIVE,
    Capability.ENDPOINT_CAPTURE_EXCLUDE: by_the_kit(
        "SageMaker records requests whole, so the server keeps the records itself where it has a network"
    ),
    Capability.ENDPOINT_PUBLIC: absent(_SIGNED),
    Capability.ENDPOINT_CALLERS: absent(
        f"{_SIGNED}: what an endpoint's callers need is sagemaker:InvokeEndpoint in their own policies"
    ),
    Capability.ENDPOINT_ACCELERATOR: NATIVE,
    Capability.ENDPOINT_TTL: by_the_kit("nothing at AWS ends an endpoint; `mlinfra env sweep` removes what is over"),
    Capability.ROLLOUT_NATIVE: NATIVE,
}
