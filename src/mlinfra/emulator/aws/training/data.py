"""Whether the places that a new job names are there: its channels' objects, its outputs' buckets.

The service lists each channel in the role's name when the job is created, and refuses what it does not find with a
ValidationException that has been quoted often. Objects are read later, when a missing permission fails the job.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.storage import split
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator


def check(emulator: AwsEmulator, body: Mapping[str, Any]) -> None:
    """Refuse a request whose places are not there, or cannot be here."""
    for channel in body.get("InputDataConfig", ()):
        _check_source(emulator, channel["DataSource"]["S3DataSource"]["S3Uri"], body["RoleArn"])
    config = body.get("CheckpointConfig", {})
    for uri in filter(None, (body["OutputDataConfig"]["S3OutputPath"], config.get("S3Uri"))):
        if not emulator.storage.has_bucket(split(uri)[0]):
            raise refusals.validation(f'The bucket of "{uri}" does not exist')
    local = Path(config.get("LocalPath", "/opt/ml/checkpoints"))
    for own in (emulator.folder, Path(sys.prefix), Path(sys.base_prefix)):
        if own.is_relative_to(local):
            raise refusals.not_emulated(f"A LocalPath of checkpoints that hides {own} of this machine")


def _check_source(emulator: AwsEmulator, uri: str, role: str) -> None:
    words = ""
    try:
        if emulator.storage.list(uri, role):
            return
    except Refusal as exc:
        words = f" Error message from S3: {exc.message}"
    raise refusals.validation(
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists '
        f"in the selected region ({emulator.region}), that objects exist under that S3 prefix, and that the role "
        f'"{role}" has "s3:ListBucket" permissions on bucket "{split(uri)[0]}".{words}'
    )
