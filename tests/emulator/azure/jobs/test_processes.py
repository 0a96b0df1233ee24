"""Several processes on several nodes: what each is told of the others, and that they reach each other."""

from __future__ import annotations

import json

from mlinfra.emulator.azure.jobs import processes

TELL = (
    "import json, os; print(json.dumps({name: os.environ[name] for name in os.environ "
    "if name in ('MASTER_ADDR', 'MASTER_PORT', 'WORLD_SIZE', 'RANK', 'NODE_RANK', 'LOCAL_RANK', 'TF_CONFIG', "
    "'AZUREML_NODE_COUNT') or name.startswith(('OMPI', 'AZ_BATCH'))}))"
)
MEET = """
import os, socket, time
address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
if rank == 0:
    listener = socket.create_server(address)
    told = sorted(listener.accept()[0].recv(10).decode() for _ in range(size - 1))
    print("met", told)
else:
    for _ in range(200):
        try:
            socket.create_connection(address).sendall(str(rank).encode())
            break
        except OSError:
            time.sleep(0.05)
"""


def test_the_processes_of_pytorch_meet_at_their_master(jobs):
    jobs.submit(
        "meets",
        f"python3 -c '{MEET}'",
        distribution={"distributionType": "PyTorch", "processCountPerInstance": 2},
        resources={"instanceCount": 2},
    )
    assert jobs.until("meets")["status"] == "Completed"
    files = [f"user_logs/std_log_process_{rank}.txt" for rank in range(4)]
    assert set(jobs.details("meets")["logFiles"]) == {files[0]}
    assert jobs.lines("meets", files[0]) == ["met ['1', '2', '3']"]


def test_every_process_is_told_its_place(jobs):
    jobs.submit(
        "placed",
        f'python3 -c "{TELL}"',
        distribution={"distributionType": "PyTorch", "processCountPerInstance": 2},
        resources={"instanceCount": 2},
    )
    assert jobs.until("placed")["status"] == "Completed"
    told = [json.loads(jobs.lines("placed", f"user_logs/std_log_process_{rank}.txt")[0]) for rank in range(4)]
    assert [(each["RANK"], each["NODE_RANK"], each["LOCAL_RANK"]) for each in told] == [
        ("0", "0", "0"),
        ("1", "0", "1"),
        ("2", "1", "0"),
        ("3", "1", "1"),
    ]
    assert {each["WORLD_SIZE"] for each in told} == {"4"}
    assert {each["AZUREML_NODE_COUNT"] for each in told} == {"2"}
    assert len({(each["MASTER_ADDR"], each["MASTER_PORT"]) for each in told}) == 1


def test_mpi_and_tensorflow_have_their_own_words():
    mpi = {
        "distribution": {"distributionType": "Mpi", "processCountPerInstance": 2},
        "resources": {"instanceCount": 2},
    }
    found = processes.of(mpi)
    ports = [1, 2, 3, 4]
    told = processes.variables(mpi, found[3], found, ports)
    assert told["OMPI_COMM_WORLD_RANK"] == "3"
    assert told["OMPI_COMM_WORLD_LOCAL_SIZE"] == "2"
    assert told["AZ_BATCH_MASTER_NODE"] == "127.0.0.2:1"
    flow = {
        "distribution": {"distributionType": "TensorFlow", "workerCount": 2, "parameterServerCount": 1},
        "resources": {"instanceCount": 3},
    }
    found = processes.of(flow)
    config = json.loads(processes.variables(flow, found[2], found, ports[:3])["TF_CONFIG"])
    assert config["task"] == {"type": "ps", "index": 0}
    assert config["cluster"] == {"worker": ["127.0.0.2:1", "127.0.0.3:2"], "ps": ["127.0.0.4:3"]}


def test_without_a_distribution_the_command_runs_once(jobs):
    jobs.submit("once", "echo here", resources={"instanceCount": 2})
    jobs.until("once")
    assert jobs.lines("once") == ["here"]


def test_one_process_that_fails_fails_the_job(jobs):
    jobs.submit(
        "breaks",
        "test $RANK = 0 || exit 7; sleep 60",
        distribution={"distributionType": "PyTorch"},
        resources={"instanceCount": 2},
    )
    assert jobs.until("breaks")["status"] == "Failed"
    assert "status code 7" in jobs.error("breaks")[2]
