"""What CreateCustomJob refuses."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from mlinfra.emulator.settings import Settings
from mlinfra.spec.patch import merge


@pytest.fixture
def refused(jobs, parent, described):
    """The message of the refusal of a job that was changed by a merge patch on its message."""

    def create(change: dict[str, Any], kind: type[Exception] = exceptions.InvalidArgument) -> str:
        with pytest.raises(kind) as raised:
            jobs.create_custom_job(parent=parent, custom_job=merge(described(), change))
        return str(raised.value)

    return create


@pytest.fixture
def spec(refused):
    return lambda change, *kind: refused({"job_spec": change}, *kind)


@pytest.fixture
def changed(spec, pool):
    """The same of a job whose one pool was changed."""
    return lambda change, *kind: spec({"worker_pool_specs": [merge(pool("print(1)"), change)]}, *kind)


def test_what_is_required_is_missed(refused, changed, spec):
    assert "display_name" in refused({"display_name": ""})
    assert "worker_pool_specs" in spec({"worker_pool_specs": []})
    assert "image_uri" in changed({"container_spec": {"image_uri": ""}})
    assert "machine_type" in changed({"machine_spec": {"machine_type": ""}})


def test_every_fault_is_told_at_once(spec, pool):
    said = spec({"network": "mine", "worker_pool_specs": [pool("print(1)", replicas=2, machine="none")]})
    assert "network" in said
    assert "worker_pool_specs[0].replica_count" in said
    assert "Machine type 'none' is not supported" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machine_spec": {"accelerator_type": "NVIDIA_TESLA_T4"}}, "must be specified together"),
        ({"machine_spec": {"accelerator_type": "NVIDIA_L4", "accelerator_count": 1}}, "is not supported for machine"),
        ({"machine_spec": {"accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 3}}, "count 3 is not supported"),
        ({"disk_spec": {"boot_disk_size_gb": 10}}, "Must be between 100"),
        ({"disk_spec": {"boot_disk_type": "floppy"}}, "Must be one of pd-ssd"),
        ({"container_spec": {"env": [{"name": "1A", "value": "x"}]}}, "Invalid environment variable name"),
        ({"container_spec": {"env": [{"name": "A", "value": "x"}] * 2}}, "Duplicate environment variable"),
        ({"container_spec": {"env": [{"name": f"A{n}", "value": "x"} for n in range(101)]}}, "At most 100"),
        ({"container_spec": {"image_uri": "docker.io/library/python:3.11"}}, "Artifact Registry"),
    ],
)
def test_pools_that_cannot_be_are_refused(changed, change, said):
    assert said in changed(change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_output_directory": {"output_uri_prefix": "s3://bucket"}}, "base_output_directory.output_uri_prefix"),
        ({"network": "projects/name/global/networks/n"}, "Invalid network"),
        ({"reserved_ip_ranges": ["r"]}, "requires a network"),
        ({"scheduling": {"max_wait_duration": "60s"}}, "FLEX_START"),
        ({"scheduling": {"timeout": "9000000s"}}, "scheduling.timeout"),
        ({"tensorboard": "projects/p/locations/us-central1/tensorboards/1"}, "Invalid Tensorboard"),
        (
            {"tensorboard": "projects/p/locations/europe-west4/tensorboards/1", "service_account": ""},
            "is required when",
        ),
        ({"service_account": "nobody"}, "Invalid service account"),
    ],
)
def test_specifications_that_cannot_be_are_refused(spec, change, said):
    assert said in spec(change)


def test_a_key_is_of_the_region(refused):
    key = "projects/p/locations/{}/keyRings/r/cryptoKeys/k"
    assert "Invalid KMS key" in refused({"encryption_spec": {"kms_key_name": "k"}})
    assert "same region" in refused({"encryption_spec": {"kms_key_name": key.format("us-central1")}})


def test_labels_are_looked_at(refused):
    assert "labels" in refused({"labels": {"Upper": "x"}})


def test_the_account_must_exist_and_be_the_callers_to_use(spec, emulator, environment, account):
    stranger = f"nobody@{emulator.project}.iam.gserviceaccount.com"
    assert "iam.serviceAccounts.actAs" in spec({"service_account": stranger}, exceptions.PermissionDenied)
    with emulator.policy.without(environment.identities["deployer"], "iam.serviceAccounts.actAs"):
        assert account in spec({}, exceptions.PermissionDenied)
    emulator.principals.remove(account)
    assert "does not exist" in spec({})


@pytest.mark.parametrize("method", ["get", "cancel", "delete", "list", "create"])
def test_every_permission_is_asked_for(  # noqa: PLR0917  fixtures
    submit, jobs, parent, emulator, environment, method
):
    job = submit()
    requests = {"create": {"parent": parent, "custom_job": job}, "list": {"parent": parent}}
    call = getattr(jobs, f"{method}_custom_job" + ("s" if method == "list" else ""))
    with (
        emulator.policy.without(environment.identities["deployer"], f"aiplatform.customJobs.{method}"),
        pytest.raises(exceptions.PermissionDenied, match=f"aiplatform.customJobs.{method}"),
    ):
        call(request=requests.get(method, {"name": job.name}))


def test_an_image_that_is_not_there_is_refused(changed, emulator):
    mine = f"europe-west4-docker.pkg.dev/{emulator.project}/mine/none:1"
    assert "does not exist" in changed({"container_spec": {"image_uri": mine}}, exceptions.NotFound)
    theirs = "europe-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-0:latest"
    assert "not emulated" in changed({"container_spec": {"image_uri": theirs}}, exceptions.MethodNotImplemented)


def test_what_is_not_emulated_says_so(spec, changed):
    assert "not emulated" in spec({"persistent_resource_id": "r"}, exceptions.MethodNotImplemented)
    assert "not emulated" in spec({"enable_web_access": True}, exceptions.MethodNotImplemented)


class TestQuotas:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(delays_scale=0.0)

    def test_a_job_beyond_the_processors_of_the_project_is_refused_until_there_is_room(
        self, submit, spec, emulator, until
    ):
        emulator.quotas.ceiling("custom_model_training_cpus", 8)
        first, _ = submit("import time; time.sleep(0.5)"), submit("import time; time.sleep(60)")
        said = spec({}, exceptions.ResourceExhausted)
        assert "aiplatform.googleapis.com/custom_model_training_cpus" in said
        until(first)
        submit()

    def test_accelerators_are_counted_by_their_kind(self, changed, emulator):
        emulator.quotas.ceiling("custom_model_training_nvidia_t4_gpus", 1)
        change = {"machine_spec": {"accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 2}}
        assert "nvidia_t4_gpus" in changed(change, exceptions.ResourceExhausted)
