from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.package import tree_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Job

SCRIPTS = Path(__file__).parent / "scripts"
CSV = "x,y\n1,2\n3,4\n"
ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"

COMMANDS = {
    "sagemaker_train.py": ["python", "sagemaker_train.py"],
    "sagemaker_train.py with --train": ["python", "sagemaker_train.py", "--train", "${{inputs.train}}"],
    "vertex_train.py": ["python", "vertex_train.py", "--data", "${{inputs.train}}", "--depth", "${{params.depth}}"],
    "azure_train.py": [
        *("python", "azure_train.py", "--training_data", "${{inputs.train}}"),
        *("--depth", "${{params.depth}}", "--model_output", "${{outputs.model}}"),
    ],
}


def variables_seen(job: Job) -> dict[str, str]:
    done = job.run()
    assert done.exit_code == 0, done.err
    return json.loads(done.out)


@pytest.mark.parametrize("name", COMMANDS)
def test_scripts_written_for_each_cloud_run_unchanged(job: Callable[..., Job], tmp_path: Path, name: str) -> None:
    script = name.partition(" ")[0]
    data = tmp_path / "data"
    (data / "train").mkdir(parents=True)
    (data / "train/credit.csv").write_text(CSV)
    (data / "train.csv").write_text(CSV)
    (data / "other.csv").write_text("not,wanted\n")
    place = data / ("train" if name.endswith("--train") else "train.csv")
    model = tmp_path / "out/model"
    ready = job(
        command=COMMANDS[name],
        inputs={"train": {"path": str(place)}},
        outputs={"model": {"type": "model", "path": str(model)}, "report": {"path": str(tmp_path / "out/report")}},
        params={"depth": 6},
    )
    ready.code = {script: (SCRIPTS / script).read_text()}
    done = ready.run()
    assert done.exit_code == 0, done.err
    assert json.loads((model / "model.json").read_text()) == {"mean": 3.0, "depth": 6}
    assert done.result["status"] == "succeeded"
    expected = tree_digest(model)
    assert done.result["outputs"]["model"] == {
        "digest": expected.digest,
        "files": expected.files,
        "size": expected.size,
    }


def test_a_parameter_that_looks_like_shell_is_one_harmless_argument(job: Callable[..., Job], tmp_path: Path) -> None:
    evil = f"6; touch {tmp_path}/hacked; $(touch {tmp_path}/hacked) \"'`"
    script = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['MLINFRA_PARAM_DEPTH']]))"
    command = ["python", "run.py", "--depth", "${{params.depth}}", "--both=${{ params.depth }}!"]
    done = job(script, command=command, params={"depth": evil}).run()
    assert json.loads(done.out) == [["--depth", evil, f"--both={evil}!"], evil]
    in_shell = 'printf "%s|" "${{params.depth}}" ${{params.depth}}'
    done = job(line=in_shell, params={"depth": evil}).run()
    assert done.out == "|".join([evil, *evil.split(), ""])
    assert not (tmp_path / "hacked").exists()


def test_the_commands_exit_code_and_last_words_are_the_jobs(job: Callable[..., Job]) -> None:
    script = "import sys\nprint('out', flush=True)\nprint('working', file=sys.stderr)\nsys.exit('no such column: age')"
    done = job(script).run()
    assert done.exit_code == done.result["exit_code"] == 1
    assert done.result["status"] == "failed"
    assert done.result["reason"] == "exit code 1: no such column: age"
    assert done.result["phase"] == "command"
    assert done.failure == "exit code 1: no such column: age\nworking\nno such column: age"
    assert (done.out, done.err.splitlines()[:2]) == ("out\n", ["working", "no such column: age"])


@pytest.mark.parametrize("code", [2, 75, 255])
def test_any_exit_code_passes(job: Callable[..., Job], code: int) -> None:
    assert job(line=f"exit {code}").run().exit_code == code


def test_a_killed_command_names_the_signal(job: Callable[..., Job]) -> None:
    done = job("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").run()
    assert done.exit_code == 137
    assert "SIGKILL" in done.result["reason"]
    assert "memory" in done.result["reason"]


def test_a_command_that_is_not_there_is_said_plainly(job: Callable[..., Job]) -> None:
    done = job(command=["no-such-program", "x"]).run()
    assert done.exit_code == 127
    assert "no-such-program" in done.failure
    assert "Traceback" not in done.err


def test_sagemaker_shows_the_reason_within_its_limit(job: Callable[..., Job], tmp_path: Path) -> None:
    (tmp_path / "root/opt/ml/output").mkdir(parents=True)
    script = "import sys\nfor n in range(999): print('line', n, 'ü' * 50, file=sys.stderr)\nsys.exit('the reason')"
    ready = job(script, platform="aws")
    ready.variables["MLINFRA_CONTAINER_ROOT"] = str(tmp_path / "root")
    ready.run()
    shown = (tmp_path / "root/opt/ml/output/failure").read_text()
    assert len(shown) == 1_024
    assert shown.startswith("exit code 1: the reason\n…")
    assert shown.endswith("the reason")


def test_the_command_runs_where_its_code_is_with_the_kit_beside_it(job: Callable[..., Job], tmp_path: Path) -> None:
    script = "import mlinfra, os, sys, helper; print(os.getcwd(), mlinfra.__file__, sys.executable, sep='\\n')"
    ready = job(script)
    ready.code["helper.py"] = ""
    folder, kit, interpreter = ready.run().out.splitlines()
    assert folder == str(tmp_path / "work/code")
    assert ".pyz/mlinfra/" in kit
    assert interpreter == ready.command()[0]


def test_executable_files_stay_executable(job: Callable[..., Job], tmp_path: Path) -> None:
    ready = job(command=["./tool.sh"])
    ready.code["tool.sh"] = "#!/bin/sh\necho ran\n"
    (tmp_path / "user-code").mkdir()
    (tmp_path / "user-code/tool.sh").touch(mode=0o755)
    assert ready.run().out == "ran\n"


def test_variables_of_the_user_win_and_the_manifest_is_not_passed_on(job: Callable[..., Job]) -> None:
    seen = variables_seen(job(ENVIRONMENT, env={"LOG_LEVEL": "info", "SM_MODEL_DIR": "mine"}, params={"a-b": 1.5}))
    assert (seen["LOG_LEVEL"], seen["SM_MODEL_DIR"], seen["MLINFRA_PARAM_A_B"]) == ("info", "mine", "1.5")
    assert not [name for name in seen if name.startswith("MLINFRA_MANIFEST")]


def test_a_variable_that_the_platform_set_is_left_alone(job: Callable[..., Job]) -> None:
    ready = job(ENVIRONMENT)
    ready.variables["AIP_MODEL_DIR"] = "gs://bucket/model/"
    ready.variables["MLINFRA_RUN_ID"] = "stale"
    seen = variables_seen(ready)
    assert (seen["AIP_MODEL_DIR"], seen["MLINFRA_RUN_ID"]) == ("gs://bucket/model/", "run-1")


def test_the_manifest_may_come_in_parts_or_in_a_file(job: Callable[..., Job], tmp_path: Path) -> None:
    ready = job("print('ran')")
    whole = ready.environment()["MLINFRA_MANIFEST_0"]
    ready.variables = {f"MLINFRA_MANIFEST_{n}": whole[n * 40 : n * 40 + 40] for n in range(len(whole) // 40 + 1)}
    assert ready.run().out == "ran\n"
    (tmp_path / "manifest.json").write_text(whole)
    environment = {**job().environment(), "MLINFRA_MANIFEST_FILE": str(tmp_path / "manifest.json")}
    del environment["MLINFRA_MANIFEST_0"]
    ready.environment = lambda: environment
    assert ready.run().out == "ran\n"


def test_a_wrong_manifest_is_one_line_and_a_result(job: Callable[..., Job]) -> None:
    done = job(command=["python", "${{params.nothing}}"]).run()
    assert done.exit_code == done.result["exit_code"] == 2
    assert done.err.splitlines() == [
        "mlinfra: failed: the command refers to ${{params.nothing}}; it may refer to: nothing in this job"
    ]
    ready = job()
    ready.variables["MLINFRA_MANIFEST_0"] = "{"
    assert ready.run().result["phase"] == "manifest"


def test_a_tuners_parameters_reach_the_command(job: Callable[..., Job], tmp_path: Path) -> None:
    config = tmp_path / "root/opt/ml/input/config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps({"depth": "8", "rate": "0.5", "undeclared": "1"}))
    script = "import os, sys; print(sys.argv[1:], os.environ['MLINFRA_PARAM_RATE'], os.environ['SM_HPS'])"
    ready = job(script, command=["python", "run.py", "${{params.depth}}"], params={"depth": 6, "rate": 0.1})
    ready.variables["MLINFRA_CONTAINER_ROOT"] = str(tmp_path / "root")
    ready.arguments = ["--rate=0.75", "--verbose"]
    assert ready.run().out == '[\'8\'] 0.75 {"depth": 8, "rate": 0.75}\n'


def test_metrics_reach_the_result_once(job: Callable[..., Job]) -> None:
    script = (
        "import sys\nfrom mlinfra.runner.metrics import log_metric\n"
        "log_metric('auc', 0.5, 1)\nlog_metric('auc', 0.5, 1)\nlog_metric('loss', float('nan'))\n"
        "print('mlinfra-metric name=printed value=2e-3 step=7')\nprint('mlinfra-metric name=bad value=x')"
    )
    done = job(script).run()
    found = [(metric["name"], metric["value"], metric["step"]) for metric in done.metrics]
    assert sorted(found, key=str) == [
        ("auc", 0.5, 1),
        ("auc", 0.5, 1),
        ("loss", None, None),
        ("printed", 0.002, 7),
    ]
    assert all(abs(metric["time"] - time.time()) < 60 for metric in done.metrics)
    assert "mlinfra-metric name=auc value=0.5 step=1\n" in done.out


def test_a_result_holds_what_the_interpreter_holds(job: Callable[..., Job]) -> None:
    result = job().run().result
    assert any(package.startswith("pip==") for package in result["requirements"])
    assert result["requirements"] == sorted(result["requirements"])
    assert result["started"] <= result["ended"]


def test_what_an_earlier_run_left_in_the_result_is_gone(job: Callable[..., Job]) -> None:
    assert (
        job("from mlinfra.runner.metrics import log_metric\nlog_metric('old', 1)\nraise SystemExit(1)").run().exit_code
    )
    done = job("").run()
    assert done.metrics == []
    assert not (done.folder / "failure").exists()


def test_a_user_may_ask_for_more_tries(job: Callable[..., Job], tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        f"tries = Path({str(tmp_path / 'tries')!r}); tries.open('a').write(os.environ['MLINFRA_TRY'])\n"
        "sys.exit(len(tries.read_text()) < 3)"
    )
    assert job(script, user={"retries": 5}).run().exit_code == 0
    assert (tmp_path / "tries").read_text() == "123"
    (tmp_path / "tries").unlink()
    assert job(script, user={"retries": 1}).run().exit_code == 1
    assert (tmp_path / "tries").read_text() == "12"


def test_output_is_seen_while_the_command_runs(
    job: Callable[..., Job], started: Callable[[Job], Any], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    script = (
        f"import os, time\nprint('first')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('second')"
    )
    process = started(job(script))
    assert process.stdout.readline() == "first\n"
    gate.touch()
    assert process.stdout.readline() == "second\n"


def test_long_lines_progress_bars_and_bytes_pass_unharmed(job: Callable[..., Job]) -> None:
    script = (
        "import sys; w = sys.stdout.buffer.write\n"
        "w(b'10%\\r20%\\r'); w(b'x' * 1_000_000 + b'\\n'); w('ü'.encode('latin-1') + b'\\n'); w(b'no end')"
    )
    ready = job(script)
    process = subprocess.run(ready.command(), env=ready.environment(), capture_output=True, check=True)
    assert process.stdout == b"10%\r20%\r" + b"x" * 1_000_000 + b"\n\xfc\nno end"


def test_inputs_that_are_not_there_end_the_job_before_it_begins(job: Callable[..., Job]) -> None:
    done = job("print('ran')", inputs={"train": {"path": "/no/such/place"}}).run()
    assert (done.exit_code, done.out, done.result["phase"]) == (4, "", "inputs")
    assert "input train: there is nothing at /no/such/place" in done.failure


def test_inputs_are_brought_and_checked(job: Callable[..., Job], tmp_path: Path) -> None:
    (tmp_path / "credit.csv").write_text(CSV)
    digest = tree_digest(tmp_path / "credit.csv").digest
    uri = (tmp_path / "credit.csv").as_uri()
    script = "import os, sys; print(os.path.basename(sys.argv[1])); open(sys.argv[1], 'a').write('more')"
    command = ["python", "run.py", "${{inputs.train}}"]
    done = job(script, command=command, inputs={"train": {"uri": uri, "digest": digest}}).run()
    assert done.out == "credit.csv\n"
    assert (tmp_path / "credit.csv").read_text() == CSV
    for wrong in ({"uri": uri}, {"path": str(tmp_path / "credit.csv")}):
        done = job(script, command=command, inputs={"train": {**wrong, "digest": f"sha256:{'0' * 64}"}}).run()
        assert (done.exit_code, done.out) == (1, "")
        assert "not what was promised" in done.failure


def test_outputs_are_named_by_content_and_taken_where_they_go(job: Callable[..., Job], tmp_path: Path) -> None:
    target = tmp_path / "store/model"
    script = "import os; open(os.environ['MLINFRA_OUTPUT_MODEL'] + '/a', 'w').write(os.environ['TEXT'])"
    for text in ("one", "two"):
        ready = job(script, outputs={"model": {"type": "model", "uri": target.as_uri()}}, env={"TEXT": text})
        done = ready.run()
        assert done.exit_code == 0, done.err
        assert (target / "a").read_text() == text
        assert done.result["outputs"]["model"]["digest"] == tree_digest(target).digest
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_the_result_may_be_sent_elsewhere_too(job: Callable[..., Job], tmp_path: Path) -> None:
    job("", result={"uri": (tmp_path / "store/result").as_uri()}).run()
    assert json.loads((tmp_path / "store/result/result.json").read_text())["status"] == "succeeded"


def test_success_without_a_model_is_a_failure(job: Callable[..., Job]) -> None:
    done = job("", outputs={"model": {"type": "model"}, "report": {"type": "folder"}}).run()
    assert (done.exit_code, done.result["status"], done.result["phase"]) == (4, "failed", "outputs")
    assert "left nothing in output model" in done.failure


def test_a_failed_command_leaves_the_target_alone(job: Callable[..., Job], tmp_path: Path) -> None:
    target = tmp_path / "store/model"
    script = "import os; open(os.environ['MLINFRA_OUTPUT_MODEL'] + '/a', 'w'); raise SystemExit(3)"
    assert job(script, outputs={"model": {"type": "model", "uri": target.as_uri()}}).run().exit_code == 3
    assert not target.exists()


def test_the_result_does_not_count_as_the_output_it_lies_in(job: Callable[..., Job], tmp_path: Path) -> None:
    data = tmp_path / "root/opt/ml/output/data"
    script = (
        "import os; open(os.environ['SM_OUTPUT_DATA_DIR'] + '/a', 'w').write('1')\n"
        "from mlinfra.runner.metrics import log_metric; log_metric('auc', 1)"
    )
    ready = job(script, platform="aws", outputs={"report": {"path": str(data), "uri": (tmp_path / "sent").as_uri()}})
    environment = {**ready.environment(), "MLINFRA_CONTAINER_ROOT": str(tmp_path / "root")}
    del environment["MLINFRA_RESULT"]
    process = subprocess.run(ready.command(), env=environment, check=False)
    assert process.returncode == 0
    result = json.loads((data / ".mlinfra/result.json").read_text())
    assert result["outputs"]["report"]["files"] == 1
    assert result["outputs"]["report"]["digest"] == tree_digest(tmp_path / "sent").digest


def test_links_out_of_an_output_become_copies_or_are_removed_aloud(job: Callable[..., Job], tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "weights").write_text("1")
    links = {"file": elsewhere / "weights", "inside": "file", "folder": elsewhere, "nowhere": "/no/such", "root": "/"}
    script = "import os; os.chdir(os.environ['MLINFRA_OUTPUT_MODEL'])\n"
    script += "".join(f"os.symlink({str(target)!r}, {name!r})\n" for name, target in links.items())
    done = job(script, outputs={"model": {"type": "model", "path": str(out)}}).run()
    assert done.exit_code == 0, done.err
    assert {path.name: path.read_text() for path in out.iterdir()} == {"file": "1", "inside": "1"}
    assert not (out / "file").is_symlink()
    assert [name for name in links if f"{out}/{name} ->" in done.err] == ["folder", "nowhere", "root"]
    assert done.result["outputs"]["model"]["digest"] == tree_digest(out).digest


def test_several_nodes_know_each_other_and_the_first_alone_has_outputs(job: Callable[..., Job], tmp_path: Path) -> None:
    for rank in (0, 1):
        ready = job(ENVIRONMENT, nodes=2, outputs={"report": {}})
        ready.variables |= {
            "MLINFRA_NODE_RANK": str(rank),
            "MLINFRA_NODE_HOSTS": "127.0.0.1,127.0.0.2",
            "MASTER_PORT": "12345",
        }
        done = ready.run()
        seen = json.loads(done.out)
        assert (seen["RANK"], seen["WORLD_SIZE"], seen["MASTER_ADDR"], seen["MASTER_PORT"]) == (
            *(str(rank), "2", "127.0.0.1", "12345"),
        )
        assert json.loads(seen["SM_HOSTS"]) == ["127.0.0.1", "127.0.0.2"]
        assert json.loads(seen["TF_CONFIG"])["task"] == {"type": ["chief", "worker"][rank], "index": 0}
    first, second = (
        json.loads((tmp_path / place / "result.json").read_text()) for place in ("result", "result/node-1")
    )
    assert (list(first["outputs"]), list(second["outputs"])) == (["report"], [])


def test_a_result_folder_for_one_node_is_taken_as_it_is(job: Callable[..., Job], tmp_path: Path) -> None:
    ready = job("", nodes=2)
    ready.variables = {
        "MASTER_ADDR": "127.0.0.1",
        "RANK": "1",
        "WORLD_SIZE": "2",
        "MLINFRA_RESULT": str(tmp_path / "result/node-1"),
    }
    assert ready.run().result["status"] == "succeeded"
    assert not (tmp_path / "result/node-1/node-1").exists()


def test_a_single_node_is_not_told_that_it_is_one_of_several(job: Callable[..., Job]) -> None:
    seen = variables_seen(job(ENVIRONMENT))
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "TF_CONFIG"} & set(seen)


def test_a_fault_of_the_runner_itself_is_a_result_as_well(job: Callable[..., Job]) -> None:
    ready = job(nodes=2)
    ready.variables = {"MLINFRA_NODE_RANK": "first", "MLINFRA_NODE_HOSTS": "a,b"}
    done = ready.run()
    assert done.exit_code == done.result["exit_code"] == 70
    assert "a fault of mlinfra's runner: ValueError" in done.failure
    assert "Traceback" in done.err


def test_nothing_is_left_of_a_run_without_a_folder_of_its_own(job: Callable[..., Job], tmp_path: Path) -> None:
    ready = job("print('ran')")
    environment = {name: value for name, value in ready.environment().items() if name != "MLINFRA_WORK"}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.run(
        ready.command(), env={**environment, "TMPDIR": str(scratch)}, check=False, capture_output=True
    )
    assert process.stdout == b"ran\n"
    left = [path.relative_to(scratch).parts[1:] for path in scratch.rglob("*")]
    assert not [parts for parts in left if parts and parts[0] in {"code", "site", "inputs"}]


def test_a_full_disk_is_said_and_the_exit_code_is_not_a_success(job: Callable[..., Job], tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    script = f"import shutil; shutil.rmtree({str(tmp_path / 'result')!r}); open({str(tmp_path / 'result')!r}, 'w')"
    done = job(script).run()
    assert done.exit_code == 75
    assert "result cannot be written" in done.err
