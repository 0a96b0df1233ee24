"""What the service sets in the containers of a job, beside the job's own variables.

The names are those that the service's own packages read (azureml-core and azureml-mlflow for `AZUREML_*`, MLflow's
documentation for `MLFLOW_*`), and the inputs' and outputs' as its common runtime writes them.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.names import own

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.jobs.job import Job
    from mlinfra.emulator.azure.registry.workspaces import Workspace

_HOURS = 24 * 3600


def of(emulator: AzureEmulator, workspace: Workspace, job: Job, run_token: str) -> dict[str, str]:
    """What every process of a job is told; `run_token` opens its run in the run history."""
    place = emulator.place
    scope = workspace.id
    group = scope.split("/")[4]
    tracking = str(emulator.workspaces.told(workspace)["properties"]["mlFlowTrackingUri"])
    experiment = experiment_id(job.experiment)
    return {
        "AZUREML_ARM_PROJECT_NAME": job.experiment,
        "AZUREML_ARM_RESOURCEGROUP": group,
        "AZUREML_ARM_SUBSCRIPTION": place.subscription,
        "AZUREML_ARM_WORKSPACE_NAME": own(scope),
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{emulator.secure}/discovery",
        "AZUREML_EXPERIMENT_ID": experiment,
        "AZUREML_EXPERIMENT_SCOPE": f"{scope}/experiments/{job.experiment}",
        "AZUREML_RUN_HISTORY_SERVICE_ENDPOINT": emulator.secure,
        "AZUREML_RUN_ID": job.name,
        "AZUREML_RUN_TOKEN": run_token,
        "AZUREML_RUN_TOKEN_EXPIRY": str(int(time.time()) + _HOURS),
        "AZUREML_SERVICE_ENDPOINT": emulator.secure,
        "AZUREML_WORKSPACE_ID": workspace.guid,
        "AZUREML_WORKSPACE_SCOPE": scope,
        "MLFLOW_EXPERIMENT_ID": experiment,
        "MLFLOW_EXPERIMENT_NAME": job.experiment,
        "MLFLOW_RUN_ID": job.name,
        "MLFLOW_TRACKING_TOKEN": run_token,
        "MLFLOW_TRACKING_URI": tracking,
        **emulated(emulator),
    }


def data(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, str]:
    """Where inputs and outputs are, for programs that read it there."""
    return {
        **{f"AZURE_ML_INPUT_{name}": value for name, value in inputs.items()},
        **{f"AZURE_ML_OUTPUT_{name}": value for name, value in outputs.items()},
    }


def emulated(emulator: AzureEmulator) -> dict[str, str]:
    """What leads a process to the emulator: the real service's addresses need no telling."""
    return {
        "AZURE_AUTHORITY_HOST": emulator.secure,
        "REQUESTS_CA_BUNDLE": str(emulator.ca_file),
        "SSL_CERT_FILE": str(emulator.ca_file),
    }


def experiment_id(name: str) -> str:
    """An experiment's id: the same for the same name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"experiment {name}"))
