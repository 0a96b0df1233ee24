"""The machine at hand as a platform: jobs, models and endpoints without an account."""

from __future__ import annotations

from mlinfra.contract.adapter import Adapter
from mlinfra.contract.capabilities import NATIVE, Capability, absent

_ONE_MACHINE = "one machine, which is there already"
_LOOPBACK = "endpoints of this machine answer on loopback alone, to whoever is logged in"

CAPABILITIES = {
    Capability.JOB_IMAGE: NATIVE,
    Capability.JOB_SHELL: NATIVE,
    Capability.JOB_SPOT: absent(_ONE_MACHINE),
    Capability.JOB_NODES: NATIVE,
    Capability.JOB_DISTRIBUTION: NATIVE,
    Capability.JOB_ACCELERATOR: absent("this platform hands out no accelerators; a job uses those it finds"),
    Capability.JOB_DISK: absent("jobs share the disk of this machine, and no quota is set on it"),
    Capability.JOB_SECRETS: absent("this machine has no vault that a job's own identity could read"),
    Capability.JOB_MEMORY_LIMIT: NATIVE,
    Capability.JOB_TIME_LIMIT: NATIVE,
    Capability.JOB_RETRIES: NATIVE,
    Capability.JOB_METRICS: NATIVE,
    Capability.JOB_LOGS: NATIVE,
    Capability.MODEL_ALIASES: NATIVE,
    Capability.MODEL_STAGE: NATIVE,
    Capability.MODEL_APPROVAL: NATIVE,
    Capability.ENDPOINT_TRAFFIC: NATIVE,
    Capability.ENDPOINT_TARGET: NATIVE,
    Capability.ENDPOINT_SHADOW: NATIVE,
    Capability.ENDPOINT_AUTOSCALE: absent("the number of replicas is fixed: set scale.min and scale.max to the same"),
    Capability.ENDPOINT_SCALE_TO_ZERO: absent("an endpoint of this machine keeps at least one replica"),
    Capability.ENDPOINT_SERVERLESS: absent("servers of this machine stand by as long as their endpoint does"),
    Capability.ENDPOINT_ASYNCHRONOUS: absent("an endpoint of this machine answers its callers and keeps no queue"),
    Capability.ENDPOINT_CAPTURE: NATIVE,
    Capability.ENDPOINT_CAPTURE_EXCLUDE: NATIVE,
    Capability.ENDPOINT_PUBLIC: absent(_LOOPBACK),
    Capability.ENDPOINT_CALLERS: absent(_LOOPBACK),
    Capability.ENDPOINT_ACCELERATOR: absent("this platform hands out no accelerators; a server uses those it finds"),
    Capability.ENDPOINT_TTL: NATIVE,
    Capability.ROLLOUT_NATIVE: absent("nothing on this machine watches a rollout but the command that deploys"),
}

ADAPTER = Adapter(
    platform="local",
    contract=1,
    package="mlinfra_local",
    capabilities=CAPABILITIES,
    title="the machine at hand",
    at_hand=True,
)
