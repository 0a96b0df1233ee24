"""What points the vendor's clients at an emulator: variables, and the files that some of them name.

`AWS_ENDPOINT_URL` does for boto3, the AWS command line and obstore. The `sagemaker` package asks STS at a hard-coded
address for the default bucket's name and sends telemetry: its own configuration file names the bucket and switches
telemetry off.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.emulator.aws.emulator import AwsEmulator


def variables(emulator: AwsEmulator) -> dict[str, str]:
    """The variables for the deployer of the environment seeded last, or of a made-up one. Writes the files named."""
    if "deployer" not in emulator.seeded.identities:
        emulator.environment()
    keys = emulator.credentials("deployer")
    home = emulator.folder / "client"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    empty = home / "none"
    empty.touch()
    found = {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": keys.session_token,
        "AWS_DEFAULT_REGION": emulator.region,
        "AWS_REGION": emulator.region,
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(empty),
        "AWS_SHARED_CREDENTIALS_FILE": str(empty),
        "NO_PROXY": "127.0.0.1",
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(empty),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(_sdk_settings(emulator, home)),
    }
    return {name: value for name, value in found.items() if value}


def _sdk_settings(emulator: AwsEmulator, home: Path) -> Path:
    """The `sagemaker` package's configuration file: its default bucket, and no telemetry."""
    bucket = emulator.seeded.default_bucket
    session = {"DefaultS3Bucket": bucket} if bucket else {}
    document = {
        "SchemaVersion": "1.0",
        "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True, "Session": session}}},
    }
    path = home / "sagemaker.yaml"
    path.write_text(json.dumps(document, indent=2))  # JSON is YAML
    return path
