"""The roles and bindings to hand to an administrator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.environment import StoreLocation
from mlinfra_gcp.config import permissions, policy

if TYPE_CHECKING:
    from mlinfra.environment import GcpEnvironment

ROLE_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")  # IAM reference
# What Google's reference lets nobody narrow below the project.
OF_THE_PROJECT = ("aiplatform.", "logging.", "monitoring.", "secretmanager.")


def bound(document: dict[str, Any], identity: str, task: str) -> list[dict[str, Any]]:
    return [each for each in document["bindings"] if each["role"].endswith(f"_{identity}_{task}")]


def test_every_role_is_bound_and_every_binding_has_its_role(environment: GcpEnvironment):
    document = policy(environment)
    used = {each["role"].rpartition("/")[2] for each in document["bindings"]}
    assert used == set(document["roles"])
    assert all(ROLE_ID.fullmatch(own) for own in used)
    assert all(role["includedPermissions"] for role in document["roles"].values())


def test_the_project_as_a_whole_is_asked_for_only_where_nothing_narrower_can_be(environment: GcpEnvironment):
    document = policy(environment)
    for binding in document["bindings"]:
        if re.fullmatch(r"projects/[^/]+", binding["resource"]):
            needed = document["roles"][binding["role"].rpartition("/")[2]]["includedPermissions"]
            assert all(each.startswith(OF_THE_PROJECT) for each in needed), binding


def test_objects_are_narrowed_by_their_names(environment: GcpEnvironment):
    (binding,) = bound(policy(environment), "trainer", "outputs")
    base = "projects/_/buckets/mlinfra-test/objects/pre/fix/"
    assert binding["resource"] == "projects/_/buckets/mlinfra-test"
    assert binding["condition"]["expression"] == " || ".join(
        f'resource.name.startsWith("{base}{folder}/")' for folder in ("jobs", "checkpoints")
    )
    assert binding["member"] == f"serviceAccount:{environment.identities['trainer']}"


def test_whoever_submits_reads_decisions_and_writes_none(environment: GcpEnvironment):
    document = policy(environment)
    (read,) = bound(document, "caller", "decisions")
    assert document["roles"][read["role"].rpartition("/")[2]]["includedPermissions"] == ["storage.objects.get"]
    written = [each["condition"]["expression"] for each in bound(document, "caller", "objects")]
    assert not any("/approvals" in each for each in written)
    together = environment.model_copy(update={"stores": {"artefacts": StoreLocation(uri="gs://one")}})
    (objects,) = bound(policy(together), "caller", "objects")
    assert objects["condition"]["expression"].endswith(
        '&& !resource.name.startsWith("projects/_/buckets/one/objects/approvals/")'
    )


def test_acting_in_a_name_is_asked_on_that_account_alone(environment: GcpEnvironment):
    resources = [each["resource"] for each in bound(policy(environment), "caller", "accounts")]
    assert resources == [
        f"projects/{environment.account}/serviceAccounts/{environment.identities[name]}"
        for name in ("server", "trainer")
    ]


def test_gcloud_can_make_it_all(environment: GcpEnvironment):
    commands = policy(environment)["commands"]
    create = [each for each in commands if each.startswith("gcloud iam roles create ")]
    assert len(create) == len(policy(environment)["roles"])
    assert len(commands) - len(create) == len(policy(environment)["bindings"])
    for kind in ("projects", "storage buckets", "iam service-accounts", "artifacts repositories"):
        assert any(f"gcloud {kind} add-iam-policy-binding " in each for each in commands), kind


def test_every_identity_gets_its_permissions(environment: GcpEnvironment):
    found = permissions(environment)
    assert set(found) == {"caller", "trainer", "server", "approver"}
    assert "aiplatform.customJobs.create" in found["caller"]
    assert not any(each.startswith("aiplatform.") for each in found["trainer"] + found["server"])


def test_images_are_pushed_to_the_environments_own_repository_alone(environment: GcpEnvironment):
    push = "artifactregistry.repositories.uploadArtifacts"
    assert push not in permissions(environment)["caller"]
    home = f"{environment.region}-docker.pkg.dev/{environment.account}/risk"
    (bound_on,) = bound(
        policy(environment.model_copy(update={"registries": {"images": home}})), "caller", "pushed_images"
    )
    where = f"projects/{environment.account}/locations/{environment.region}/repositories/risk"
    assert bound_on["resource"] == where
