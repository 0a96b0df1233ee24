"""Google Cloud's Vertex AI as a platform."""

from __future__ import annotations

from mlinfra.contract.adapter import Adapter
from mlinfra_gcp.capabilities import CAPABILITIES

ADAPTER = Adapter(
    platform="gcp",
    contract=1,
    package="mlinfra_gcp",
    capabilities=CAPABILITIES,
    extra="gcp",
    sdk="google.cloud.aiplatform_v1",
    title="Vertex AI",
)
