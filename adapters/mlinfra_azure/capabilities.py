"""What Azure Machine Learning does itself, what the kit does there, and what cannot be had, with the reason."""

from __future__ import annotations

from mlinfra.contract.capabilities import NATIVE, Capability, absent, by_the_kit

_TOKENS = "Azure ML answers requests that carry the endpoint's key or a token of Microsoft Entra, and no others"

CAPABILITIES = {
    Capability.JOB_IMAGE: NATIVE,
    Capability.JOB_SHELL: NATIVE,
    Capability.JOB_SPOT: NATIVE,
    Capability.JOB_NODES: NATIVE,
    Capability.JOB_DISTRIBUTION: NATIVE,
    Capability.JOB_ACCELERATOR: NATIVE,
    Capability.JOB_DISK: absent("a job gets the disk that its machine type has"),
    Capability.JOB_SECRETS: by_the_kit("the runner reads Key Vault as the job's managed identity"),
    Capability.JOB_MEMORY_LIMIT: absent("a container may use all the memory of its machine"),
    Capability.JOB_TIME_LIMIT: NATIVE,
    Capability.JOB_RETRIES: by_the_kit("Azure ML repeats no job; the kit begins the next attempt"),
    Capability.JOB_METRICS: by_the_kit("the runner leaves them in the store, beside what the script logs to MLflow"),
    Capability.JOB_LOGS: NATIVE,
    Capability.MODEL_ALIASES: by_the_kit("kept in tags of the versions"),
    Capability.MODEL_STAGE: NATIVE,
    Capability.MODEL_APPROVAL: by_the_kit("kept in a tag of the version, beside the decision in the store"),
    Capability.ENDPOINT_TRAFFIC: NATIVE,
    Capability.ENDPOINT_TARGET: NATIVE,
    Capability.ENDPOINT_SHADOW: NATIVE,
    Capability.ENDPOINT_AUTOSCALE: NATIVE,
    Capability.ENDPOINT_SCALE_TO_ZERO: absent("a managed deployment keeps one instance at least"),
    Capability.ENDPOINT_SERVERLESS: absent("a managed deployment of one's own has machines that stand by"),
    Capability.ENDPOINT_ASYNCHRONOUS: absent("an online endpoint answers its caller; its batch endpoints are jobs"),
    Capability.ENDPOINT_CAPTURE: by_the_kit(
        "the model server writes the records to the store; Azure's own data collector, for its monitors, is an override"
    ),
    Capability.ENDPOINT_CAPTURE_EXCLUDE: by_the_kit("the model server masks the columns"),
    Capability.ENDPOINT_PUBLIC: absent(_TOKENS),
    Capability.ENDPOINT_CALLERS: absent(
        f"{_TOKENS}: what an endpoint's callers need is "
        "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action in a role of their own"
    ),
    Capability.ENDPOINT_ACCELERATOR: NATIVE,
    Capability.ENDPOINT_TTL: by_the_kit("nothing at Azure ends an endpoint; `mlinfra env sweep` removes what is over"),
    Capability.ROLLOUT_NATIVE: absent("Azure ML has no guard that takes a change of traffic back"),
}
