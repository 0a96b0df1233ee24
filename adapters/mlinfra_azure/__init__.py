"""Microsoft's Azure Machine Learning as a platform."""

from __future__ import annotations

from mlinfra.contract.adapter import Adapter
from mlinfra_azure.capabilities import CAPABILITIES

ADAPTER = Adapter(
    platform="azure",
    contract=1,
    package="mlinfra_azure",
    capabilities=CAPABILITIES,
    extra="azure",
    sdk="azure.identity",
    title="Azure Machine Learning",
    names_jobs=True,
)
