"""What an emulator starts finds no real cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from mlinfra.emulator.bait import plant
from mlinfra.emulator.isolation import isolated, scrub, surroundings

if TYPE_CHECKING:
    from pathlib import Path

FINISHED = {"succeeded", "failed", "stopped", "timed_out"}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ENDPOINT_URL_S3",
        "BOTO_CONFIG",
        "AZURE_CLIENT_SECRET",
        "ARM_SUBSCRIPTION_ID",
        "MSI_ENDPOINT",
        "IDENTITY_HEADER",
        "AZUREML_RUN_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GCLOUD_PROJECT",
        "CLOUDSDK_CONFIG",
        "GCE_METADATA_HOST",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "PULUMI_ACCESS_TOKEN",
        "DATABRICKS_TOKEN",
        "https_proxy",
        "ALL_PROXY",
    ],
)
def test_what_leads_to_a_cloud_is_removed(name: str):
    assert scrub({name: "x", name.lower(): "x"}) == {}


def test_everything_that_the_bait_plants_is_removed(tmp_path: Path):
    planted = plant(tmp_path, {})
    left = isolated(planted, tmp_path / "home")
    secrets = [value for name, value in planted.items() if name not in {"HOME", "UV_CACHE_DIR"}]
    assert secrets
    assert [value for value in left.values() if value in secrets] == []
    assert left["HOME"] == str(tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


def test_what_does_no_harm_is_kept():
    harmless = {"PATH": "/bin", "LANG": "C", "MLINFRA_HOME": "/m", "UV_CACHE_DIR": "/c", "UV_INDEX_URL": "u"}
    assert scrub(harmless) == harmless


def test_caches_and_the_index_of_the_user_stay_in_use(tmp_path: Path):
    user = tmp_path / "user"
    (user / ".config" / "uv").mkdir(parents=True)
    (user / ".config" / "uv" / "uv.toml").write_text("")
    found = surroundings(tmp_path / "home", {"HOME": str(user), "PIP_CACHE_DIR": "/pip"})
    assert found["UV_CACHE_DIR"] == str(user / ".cache" / "uv")
    assert found["UV_CONFIG_FILE"] == str(user / ".config" / "uv" / "uv.toml")
    assert found["PIP_CACHE_DIR"] == "/pip"
    assert "PIP_CONFIG_FILE" not in found


def test_vendors_clients_find_no_credentials(tmp_path: Path):
    """The vendors' own look-up, in a process that the emulator would have started."""
    planted = {**os.environ, **plant(tmp_path / "user", os.environ)}
    script = "import boto3, json; s = boto3.Session(); print(json.dumps([s.get_credentials() is None, s.region_name]))"
    found = [
        json.loads(subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, check=True).stdout)
        for env in (planted, isolated(planted, tmp_path / "home"))
    ]
    assert found == [[False, "us-east-1"], [True, None]]


def test_a_job_finds_none_of_its_submitter_s(toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in plant(tmp_path / "user", os.environ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    toy.host.acting_as("somebody").call("CreateJob", {"name": "look", "argv": ["env"], "env": {"AWS_REGION": "mine"}})
    while toy.host.call("DescribeJob", {"name": "look"})["state"] not in FINISHED:
        time.sleep(0.02)
    lines = [line["text"] for line in toy.host.call("GetJobLogs", {"name": "look"})["lines"]]
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert seen["HOME"] == str(toy.folder / "home")
    assert seen["AWS_EC2_METADATA_DISABLED"] == "true"
    assert seen["HTTPS_PROXY"] == ""
    assert seen["AWS_REGION"] == "mine"
    assert "AKIAIOSFODNN7EXAMPLE" not in "".join(lines)
