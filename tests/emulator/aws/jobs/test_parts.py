"""Documents, histories, regular expressions: the parts of a training job that need no emulator."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import botocore.session
import pytest

from mlinfra.emulator.aws.training import nodes as training_nodes
from mlinfra.emulator.aws.training import states as training_states
from mlinfra.emulator.aws.training.channels import Channel
from mlinfra.emulator.aws.training.faults import AlgorithmError
from mlinfra.emulator.aws.training.job import TrainingJob
from mlinfra.emulator.aws.training.logs import Definitions, events
from mlinfra.emulator.aws.training.pace import Halt, Pace
from mlinfra.emulator.aws.training.states import History
from mlinfra.emulator.clock import Clock
from mlinfra.emulator.jobs.pump import LogPump

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_documents_of_a_node_are_written_as_the_service_writes_them(tmp_path):
    nodes = training_nodes.of({"InstanceType": "ml.m5.large", "InstanceCount": 2})
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/"}
    channel = Channel.of(
        {"ChannelName": "train", "DataSource": {"S3DataSource": source}, "ContentType": "text/csv"}, "File"
    )
    training_nodes.write_config(tmp_path, nodes[1], nodes, {"depth": "3"}, [channel])
    assert {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()} == {
        "hyperparameters.json": {"depth": "3"},
        "inputdataconfig.json": {
            "train": {
                "ContentType": "text/csv",
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            }
        },
        "resourceconfig.json": {
            "current_host": "algo-2",
            "current_instance_type": "ml.m5.large",
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1", "algo-2"],
            "instance_groups": [
                {
                    "instance_group_name": "homogeneousCluster",
                    "instance_type": "ml.m5.large",
                    "hosts": ["algo-1", "algo-2"],
                }
            ],
            "network_interface_name": "eth0",
            "topology": None,
        },
    }


def test_instance_groups_make_nodes_in_their_order():
    groups = [
        {"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "cpu"},
        {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "InstanceGroupName": "gpu"},
    ]
    nodes = training_nodes.of({"InstanceGroups": groups})
    assert [tuple(node) for node in nodes] == [
        ("algo-1", "ml.m5.large", "cpu"),
        ("algo-2", "ml.g5.xlarge", "gpu"),
        ("algo-3", "ml.g5.xlarge", "gpu"),
    ]
    told = training_nodes.resource_config(nodes[1], nodes)
    assert [group["hosts"] for group in told["instance_groups"]] == [["algo-1"], ["algo-2", "algo-3"]]


def test_a_chosen_preference_brings_its_own_count():
    preferences = [
        {"InstanceType": "ml.m5.large", "InstanceCount": 2},
        {"InstanceType": "ml.c5.large", "InstanceCount": 3},
    ]
    assert len(training_nodes.of({"InstancePreferences": preferences}, "ml.c5.large")) == 3


def test_a_status_keeps_one_transition_while_its_message_changes():
    history = History()
    history.enter("Pending", "waiting", _NOW)
    history.enter("Pending", "preparing", _NOW + timedelta(seconds=1))
    history.enter("Training", "in progress", _NOW + timedelta(seconds=2))
    history.enter("Completed", "completed", _NOW + timedelta(seconds=3))
    told = [(each["Status"], each["StatusMessage"], each["EndTime"] - each["StartTime"]) for each in history.document()]
    assert told == [
        ("Pending", "preparing", timedelta(seconds=2)),
        ("Training", "in progress", timedelta(seconds=1)),
        ("Completed", "completed", timedelta()),
    ]


def test_every_secondary_status_of_the_description_is_known_here():
    model = botocore.session.get_session().get_service_model("sagemaker")
    stages = [
        *training_states.TODAY.cold, *training_states.TODAY.warm, training_states.TODAY.image,
        *training_states.FORMER.cold, training_states.FORMER.image,
        training_states.DATA, training_states.UPLOAD, training_states.HALT, training_states.LOST,
        training_states.AGAIN, training_states.UPDATE,
    ]  # fmt: skip
    known = {stage.status for stage in stages} | set(training_states.PRIMARY) | {training_states.TRAINING}
    assert known == set(model.shape_for("SecondaryStatus").enum)
    primary = {training_states.IN_PROGRESS, training_states.DELETING, *training_states.PRIMARY.values()}
    assert primary == set(model.shape_for("TrainingJobStatus").enum)
    assert {stage.delay for stage in stages} <= set(training_states.DELAYS)


def test_a_failure_reason_is_cut_so_that_the_exit_code_stays():
    reason = AlgorithmError("x" * 5000, 137).reason
    assert len(reason) == 1024
    assert reason.startswith("AlgorithmError: xxx")
    assert reason.endswith("x, exit code: 137")


def test_metrics_are_what_the_group_matched():
    definitions = Definitions([{"Name": "loss", "Regex": "loss=([0-9.e-]+)"}, {"Name": "auc", "Regex": r"auc: (\S+)"}])
    found = definitions.found("loss=0.5 auc: 0.9 loss=1e-3 auc: nan auc: many", _NOW)
    assert [(each.name, each.value) for each in found] == [("loss", 0.5), ("loss", 1e-3), ("auc", 0.9)]


@pytest.fixture
def pages():
    lines = [{"time": _NOW.isoformat(), "source": f"node-{number % 2}", "text": str(number)} for number in range(1500)]
    lines[3] = {**lines[3], "source": "host"}
    lines[4] = {**lines[4], "text": ""}

    def read(token):
        start = int(token or 0)
        return {"lines": lines[start : start + 1000], "token": str(min(start + 1000, len(lines)))}

    return read


def test_lines_are_carried_once_in_the_emulators_time_without_the_hosts_own_and_empty_ones(pages):
    put = []
    ahead = timedelta(hours=1)
    pump = LogPump(pages, lambda rank, lines: put.append((rank, events(lines))), lambda: ahead)
    pump.pump()
    pump.pump()
    carried = {rank: [text for each, told in put if each == rank for _, text in told] for rank in (0, 1)}
    assert carried[0] == [str(number) for number in range(0, 1500, 2) if number != 4]
    assert carried[1] == [str(number) for number in range(1, 1500, 2) if number != 3]
    assert put[0][1][0][0] == int((_NOW + ahead).timestamp() * 1000)


def test_a_job_that_is_to_stop_comes_to_no_further_stage_but_those_of_its_end():
    job = TrainingJob({"TrainingJobName": "j", "StoppingCondition": {}}, "arn", _NOW)
    training = SimpleNamespace(emulator=SimpleNamespace(clock=Clock()), now=lambda: _NOW, delays=None, closing=None)
    pace = Pace(training, job)
    pace.enter(training_states.DATA)
    job.wishes.wish("stop")
    with pytest.raises(Halt) as caught:
        pace.enter(training_states.TODAY.image)
    assert caught.value.status == "Stopped"
    pace.enter(training_states.UPLOAD)
    assert [each.status for each in job.history.transitions] == ["Downloading", "Uploading"]
