"""What a stack would have made is there once an environment is seeded; one emulator in a process at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.aws.wire import motoside
from mlinfra.environment import LocalEnvironment, parse
from mlinfra.errors import MlinfraError, NotFound, SpecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlinfra.environment import AwsEnvironment

_ACCOUNT = "111122223333"
_KEY = f"arn:aws:kms:eu-west-1:{_ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
_DOCUMENT = {
    "platform": "aws",
    "name": "stack",
    "region": "eu-west-1",
    "account": _ACCOUNT,
    "stores": {"artefacts": {"uri": "s3://theirs-artefacts"}, "approvals": {"uri": "s3://theirs-approvals/marks"}},
    "identities": {
        "deployer": f"arn:aws:iam::{_ACCOUNT}:user/ci",
        "trainer": f"arn:aws:iam::{_ACCOUNT}:role/ml/trainer",
        "approver": f"arn:aws:iam::{_ACCOUNT}:role/approver",
    },
    "keys": {"artefacts": _KEY, "logs": "alias/mlinfra-logs"},
    "observability": {"logs": "/mlinfra/audit"},
    "images": {"serving": {"uri": f"{_ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/theirs:1", "python": "3.11"}},
}


def test_a_made_up_environment_is_whole(environment: AwsEnvironment, emulator: AwsEmulator) -> None:
    assert environment.name == "aws-emulated"
    assert environment.emulated
    assert set(environment.stores) == {"artefacts", "data", "captures", "approvals"}
    assert set(environment.identities) == {"deployer", "trainer", "server", "approver"}
    assert set(environment.endpoints.values()) == {emulator.url}
    assert environment.native["credentials"] == emulator.credentials("deployer").as_document()
    assert parse(environment.as_document()) == environment


def test_environments_stand_beside_each_other(
    environment: AwsEnvironment, emulator: AwsEmulator, client: Callable[..., Any], bucket: str
) -> None:
    other = emulator.environment("other", stage="prod")
    assert other.stage == "prod"
    theirs = other.stores["data"].uri.removeprefix("s3://").partition("/")[0]
    assert theirs != bucket
    for name in (bucket, theirs):
        client("s3").put_object(Bucket=name, Key="data/x", Body=b"1")
        with pytest.raises(ClientError, match="AccessDenied"):
            client("s3").put_object(Bucket=name, Key="approvals/x", Body=b"1")


def test_every_identity_has_keys_of_its_own(emulator: AwsEmulator, environment: AwsEnvironment) -> None:
    keys = {name: emulator.credentials(name) for name in environment.identities}
    assert len({each.access_key_id for each in keys.values()}) == len(keys)
    assert emulator.credentials(environment.identities["trainer"]) == keys["trainer"]
    with pytest.raises(NotFound, match="no such identity"):
        emulator.credentials("nobody")


def test_a_stack_s_own_document_is_seeded(emulator: AwsEmulator, client: Callable[..., Any]) -> None:
    environment = emulator.seed(parse(_DOCUMENT))
    assert emulator.seed(parse(_DOCUMENT)) == environment
    keys = environment.native["credentials"]
    assert "session_token" not in keys

    def ours(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=environment.endpoints[service],
            region_name=environment.region,
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
        )

    assert ours("sts").get_caller_identity()["Arn"] == environment.identities["deployer"]
    ours("s3").put_object(Bucket="theirs-artefacts", Key="x", Body=b"1")
    with pytest.raises(ClientError, match="AccessDenied"):
        ours("s3").put_object(Bucket="theirs-approvals", Key="marks/x", Body=b"1")
    assert ours("kms").describe_key(KeyId=_KEY)["KeyMetadata"]["Arn"] == _KEY
    assert ours("kms").describe_key(KeyId="alias/mlinfra-logs")["KeyMetadata"]["Enabled"]
    assert ours("iam").get_role(RoleName="trainer")["Role"]["Arn"] == environment.identities["trainer"]
    groups = ours("logs").describe_log_groups(logGroupNamePrefix="/mlinfra")["logGroups"]
    assert [each["logGroupName"] for each in groups] == ["/mlinfra/audit"]
    repositories = ours("ecr").describe_repositories()["repositories"]
    assert "theirs" in [each["repositoryName"] for each in repositories]


def test_what_was_not_seeded_is_refused(client: Callable[..., Any]) -> None:
    with pytest.raises(ClientError) as caught:
        client("kms").describe_key(KeyId="11111111-2222-3333-4444-000000000000")
    assert caught.value.response["Error"]["Code"] in {"NotFoundException", "AccessDeniedException"}


def test_an_environment_that_cannot_be_here_is_refused(emulator: AwsEmulator) -> None:
    with pytest.raises(SpecError, match="another account or region"):
        emulator.seed(parse({**_DOCUMENT, "account": "999999999999"}))
    wrong = {"identities": {"trainer": "trainer"}, "stores": {"artefacts": {"uri": "/home/me"}}}
    with pytest.raises(SpecError) as caught:
        emulator.seed(parse({**_DOCUMENT, **wrong}))
    assert [problem.path for problem in caught.value.problems] == ["stores.artefacts.uri", "identities.trainer"]
    with pytest.raises(SpecError, match="not an environment of this platform"):
        emulator.seed(LocalEnvironment(name="here", root="/tmp/x"))  # noqa: S108  never opened


def test_another_emulator_of_the_same_process_is_refused(emulator: AwsEmulator, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="runs in this process already"):
        AwsEmulator(tmp_path / "second").start()
    assert emulator.environment().emulated


def test_the_next_emulator_starts_from_nothing(tmp_path: Path) -> None:
    for number in range(2):
        with AwsEmulator(tmp_path / str(number)) as emulator:
            assert not emulator.storage.has_bucket("mlinfra-aws-emulated-111122223333")
            emulator.environment()
            assert emulator.storage.list("s3://mlinfra-aws-emulated-111122223333/data") == []
            emulator.storage.write("s3://mlinfra-aws-emulated-111122223333/data/x", b"1")
        motoside.backend("s3", "111122223333", "aws").create_bucket("somebody-s-mock", "eu-west-1")
    with AwsEmulator(tmp_path / "last") as emulator:
        assert not emulator.storage.has_bucket("somebody-s-mock")


def test_stopping_twice_is_stopping_once(tmp_path: Path) -> None:
    emulator = AwsEmulator(tmp_path / "one").start()
    emulator.stop()
    emulator.stop()
    with AwsEmulator(tmp_path / "two"):
        pass


def test_leftovers_are_all_that_is_there(client: Callable[..., Any], emulator: AwsEmulator) -> None:
    assert emulator.leftovers() == []
    client("sagemaker").create_model_package_group(ModelPackageGroupName="credit")
    assert emulator.leftovers() == ["arn:aws:sagemaker:eu-west-1:111122223333:model-package-group/credit"]
    client("sagemaker").delete_model_package_group(ModelPackageGroupName="credit")
    assert emulator.leftovers() == []


def test_what_befalls_a_job_can_be_asked_for_over_http(emulator: AwsEmulator) -> None:
    assert emulator.admin("nothing/known", {}) is None
    for request in ("training/interrupt", "training/break"):
        with pytest.raises(MlinfraError):
            emulator.admin(request, {"name": "no-such-job"})
