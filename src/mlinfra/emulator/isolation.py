"""The environment of everything that an emulator starts: no credentials, profiles or addresses of real clouds.

Vendors' clients look for credentials in variables, in files below the home folder, and at metadata addresses of the
machine. Variables are removed, the home folder is one of the emulator's own, and the metadata addresses are switched
off by the variables that each vendor documents.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Prefixes of variables that the vendors' clients, their tools and their machines set or read.
VENDORS = (
    "AWS_",
    "AMAZON_",
    "BOTO",
    "SAGEMAKER_",
    "SM_",
    "TRAINING_JOB_",
    "ECS_",
    "AZURE_",
    "AZUREML_",
    "AZ_",
    "ARM_",
    "MSI_",
    "IDENTITY_",
    "IMDS_",
    "GOOGLE_",
    "GCLOUD_",
    "GCP_",
    "GCE_",
    "CLOUDSDK_",
    "CLOUD_ML_",
    "VERTEX_",
    "AIP_",
    "STORAGE_EMULATOR_",
    "PULUMI_",
    "TF_",
    "KUBE",
    "DATABRICKS_",
    "MLFLOW_TRACKING_",
    "METADATA_",
    "NO_GCE_",
)
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY"}
_NOBODY = "127.0.0.1:9"  # the port of the discard service: nobody answers


def scrub(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy without vendors' credentials, profiles, configuration files, addresses, and without proxies."""
    return {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith(VENDORS) and name.upper() not in _PROXIES
    }


def surroundings(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What every process gets beside a scrubbed environment: a home of its own, and no machine to ask for credentials.

    `environ` tells where caches of packages and the settings of their index lie, which stay in use: a job whose
    packages are not at hand may still get them. The folder is made if it is not there.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        **_packages(environ),
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "NO_PROXY": "127.0.0.1,localhost,::1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / ".aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials"),
        "AZURE_CONFIG_DIR": str(home / ".azure"),
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{_NOBODY}",
        "CLOUDSDK_CONFIG": str(home / ".config" / "gcloud"),
        "NO_GCE_CHECK": "true",
        "GCE_METADATA_HOST": _NOBODY,
        "GCE_METADATA_IP": _NOBODY,
    }


def isolated(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The whole environment of a process that must meet no real cloud."""
    return {**scrub(environ), **surroundings(home, environ)}


def _packages(environ: Mapping[str, str]) -> dict[str, str]:
    """Where pip and uv keep packages, and where they are told of their index, under the user's own home."""
    home = Path(environ.get("HOME") or "/")
    caches = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    settings = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    found = {"UV_CACHE_DIR": caches / "uv", "PIP_CACHE_DIR": caches / "pip"}
    files = {"UV_CONFIG_FILE": settings / "uv" / "uv.toml", "PIP_CONFIG_FILE": settings / "pip" / "pip.conf"}
    found |= {name: path for name, path in files.items() if path.is_file()}
    return {name: environ.get(name) or str(path) for name, path in found.items()}
