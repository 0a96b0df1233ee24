"""What a job's container finds: documents, data, variables, neighbours; and nothing of anybody else's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mlinfra.catalog.aws import framework_image
from mlinfra.emulator.aws.training.container import network_can_be_cut
from mlinfra.host import isolation

pytestmark = pytest.mark.thorough
_SKLEARN = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.9-0-cpu-py3"


def test_channels_lie_below_input_data_and_documents_below_input_config(jobs):
    jobs.put("train/a.csv", "1,2")
    jobs.put("train/deep/b.csv", "3,4")
    jobs.put("other", "whole")
    manifest = json.dumps([{"prefix": f"s3://{jobs.bucket}/data/train/"}, "deep/b.csv"])
    code = (
        "import json, pathlib\n"
        "root = pathlib.Path('/opt/ml/input')\n"
        "for path in sorted(root.rglob('*')):\n"
        "    if path.is_file() and path.suffix != '.py': print(path.relative_to(root), '=', path.read_text())"
    )
    job = jobs.run(
        code,
        HyperParameters={"depth": "3"},
        InputDataConfig=[
            jobs.channel("train", f"s3://{jobs.bucket}/data/train"),
            jobs.channel("single", f"s3://{jobs.bucket}/data/other", mode="FastFile"),
            jobs.channel("listed", jobs.put("manifest.json", manifest), "ManifestFile"),
        ],
    )
    assert job["TrainingJobStatus"] == "Completed", job
    told = dict(line.split(" = ", 1) for line in jobs.lines(job["TrainingJobName"]))
    assert {name: text for name, text in told.items() if name.startswith("data/")} == {
        "data/train/a.csv": "1,2",
        "data/train/deep/b.csv": "3,4",
        "data/single/other": "whole",
        "data/listed/deep/b.csv": "3,4",
    }
    assert json.loads(told["config/hyperparameters.json"]) == {"depth": "3"}
    modes = {name: each["TrainingInputMode"] for name, each in json.loads(told["config/inputdataconfig.json"]).items()}
    assert modes == {"train": "File", "single": "FastFile", "listed": "File", "program": "File"}
    assert json.loads(told["config/resourceconfig.json"])["current_host"] == "algo-1"


def test_the_environment_is_the_services_and_the_requests(jobs, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("SM_MODEL_DIR", "mine")
    job = jobs.run(
        "import json, os; print(json.dumps(dict(os.environ)))", Environment={"COLOUR": "blue", "WORLD_SIZE": "1"}
    )
    told = json.loads(jobs.lines(job["TrainingJobName"])[0])
    assert told["TRAINING_JOB_NAME"] == job["TrainingJobName"]
    assert told["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    assert told["AWS_REGION"] == "eu-west-1"
    assert (told["COLOUR"], told["WORLD_SIZE"]) == ("blue", "1")
    strangers = {"AWS_PROFILE", "SM_MODEL_DIR", "MLINFRA_RESULT", "RANK", "MASTER_ADDR"}
    assert strangers.isdisjoint(told)


def test_the_container_acts_as_its_role(jobs):
    code = (
        "import boto3, os\n"
        "session = boto3.Session(region_name=os.environ['AWS_REGION'])\n"
        "print(session.client('sts').get_caller_identity()['Arn'])\n"
        "s3 = session.client('s3')\n"
        f"s3.put_object(Bucket='{jobs.bucket}', Key='artefacts/mine', Body=b'x')\n"
        "try:\n"
        f"    s3.put_object(Bucket='{jobs.bucket}', Key='approvals/mine', Body=b'x')\n"
        "except Exception as exc: print(exc.response['Error']['Code'])"
    )
    job = jobs.run(code)
    role = jobs.role.rpartition("/")[2]
    assert jobs.lines(job["TrainingJobName"]) == [
        f"arn:aws:sts::111122223333:assumed-role/{role}/SageMaker",
        "AccessDenied",
    ]


def test_each_job_has_an_opt_ml_and_a_working_folder_of_its_own(jobs):
    code = "import os; open('here', 'w'); open('/opt/ml/model/m', 'w'); print(os.getcwd(), os.listdir('.'))"
    first, second = jobs.run(code), jobs.run(code)
    assert jobs.lines(first["TrainingJobName"]) == jobs.lines(second["TrainingJobName"]) == ["/opt/program ['here']"]
    assert not Path("/opt/ml").exists()


def test_nodes_find_each_other_and_get_their_shares(jobs):
    for number in range(4):
        jobs.put(f"parts/{number}", "x")
    code = (
        "import json, os, socket\n"
        "me = json.load(open('/opt/ml/input/config/resourceconfig.json'))\n"
        "addresses = [socket.gethostbyname(host) for host in me['hosts']]\n"
        "print(me['current_host'], sorted(os.listdir('/opt/ml/input/data/c')), len(set(addresses)))\n"
        "open('/opt/ml/model/' + me['current_host'], 'w').write('m')\n"
        "open('/opt/ml/model/both', 'w').write(me['current_host'])"
    )
    job = jobs.run(
        code,
        ResourceConfig={"InstanceCount": 2},
        InputDataConfig=[jobs.channel("c", f"s3://{jobs.bucket}/data/parts/", S3DataDistributionType="ShardedByS3Key")],
    )
    name = job["TrainingJobName"]
    assert job["TrainingJobStatus"] == "Completed", jobs.lines(name)
    assert jobs.lines(name, "algo-1") == ["algo-1 ['0', '2'] 2"]
    assert jobs.lines(name, "algo-2") == ["algo-2 ['1', '3'] 2"]
    assert jobs.archive(name, "output/model.tar.gz") == {"algo-1": "m", "algo-2": "m", "both": "algo-2"}


def test_a_node_that_fails_fails_the_job(jobs):
    code = (
        "import json, sys, time\n"
        "host = json.load(open('/opt/ml/input/config/resourceconfig.json'))['current_host']\n"
        "if host == 'algo-2':\n"
        "    open('/opt/ml/output/failure', 'w').write('out of luck')\n"
        "    sys.exit(3)\n"
        "time.sleep(60)"
    )
    job = jobs.run(code, ResourceConfig={"InstanceCount": 2})
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", "AlgorithmError: out of luck, exit code: 3")


def test_a_network_that_is_cut_leaves_loopback_alone(jobs, emulator):
    if not network_can_be_cut():
        pytest.fail("this machine refuses network namespaces, which the fidelity table names as a difference")
    code = (
        "import socket\n"
        "with socket.create_server(('127.0.0.1', 0)) as own:\n"
        "    socket.create_connection(own.getsockname()).close()\n"
        "print('own')\n"
        f"socket.create_connection(('127.0.0.1', {emulator.url.rpartition(':')[2]}), timeout=5)"
    )
    job = jobs.run(code, EnableNetworkIsolation=True)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["EnableNetworkIsolation"] is True
    assert jobs.lines(job["TrainingJobName"])[0] == "own"
    assert "ConnectionRefusedError" in jobs.lines(job["TrainingJobName"])[-1]


def test_sagemakers_own_scikit_learn_image_has_scikit_learn(jobs):
    algorithm = {"TrainingImage": _SKLEARN}
    job = jobs.run("import sklearn; print(sklearn.__version__)", AlgorithmSpecification=algorithm)
    assert jobs.lines(job["TrainingJobName"])[0].startswith("1.9.")


def test_the_catalogues_framework_images_stand_for_their_python(jobs):
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    algorithm = {"TrainingImage": framework_image(here, "eu-west-1", gpu=False)}
    job = jobs.run("import sys; print('%d.%d' % sys.version_info[:2])", AlgorithmSpecification=algorithm)
    assert jobs.lines(job["TrainingJobName"]) == [here]


def test_a_program_that_is_not_in_the_image_fails_as_in_a_shell(jobs):
    job = jobs.run("", AlgorithmSpecification={"ContainerEntrypoint": ["no-such-program"], "ContainerArguments": ["x"]})
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", "AlgorithmError: , exit code: 127")


def test_without_private_paths_a_job_that_honours_the_prefix_works(jobs, monkeypatch):
    monkeypatch.setattr(isolation, "best", lambda: isolation.Isolation(isolation.PREFIX, "as on a Mac"))
    code = (
        "import os, sys\n"
        "root = os.environ['MLINFRA_CONTAINER_ROOT']\n"
        "open(root + '/opt/ml/model/m', 'w').write(sys.argv[1] + ' ' + sys.argv[2])"
    )
    job = jobs.run(code, AlgorithmSpecification={"ContainerArguments": ["a b", "/opt/mlx"]})
    name = job["TrainingJobName"]
    assert job["TrainingJobStatus"] == "Completed", jobs.lines(name)
    assert jobs.archive(name, "output/model.tar.gz") == {"m": "a b /opt/mlx"}
