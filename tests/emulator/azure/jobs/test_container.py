"""What a job finds in its container, and what becomes of what it leaves there."""

from __future__ import annotations

import json

import pytest

ENVIRON = "import json, os; print(json.dumps(dict(os.environ)))"


def test_the_command_gets_folders_files_values_and_addresses(emulator, data, jobs):
    emulator.storage.write(f"{data}/rows/a/1.csv", b"one")
    emulator.storage.write(f"{data}/rows/2.csv", b"two")
    emulator.storage.write(f"{data}/single.txt", b"three")
    jobs.submit(
        "reads",
        "cat ${{inputs.rows}}/a/1.csv ${{inputs.rows}}/2.csv ${{ inputs.single }}; echo; "
        "echo ${{inputs.rate}} ${{inputs.there}} $[[--more ${{inputs.absent}}]] $SEEN; pwd; "
        "basename ${{inputs.single}}",
        inputs={
            "rows": {"jobInputType": "uri_folder", "uri": f"{data}/rows/", "mode": "Download"},
            "single": {"jobInputType": "uri_file", "uri": f"{data}/single.txt"},
            "rate": {"jobInputType": "literal", "value": "0.5"},
            "there": {"jobInputType": "uri_folder", "uri": f"{data}/rows/", "mode": "Direct"},
        },
        environmentVariables={"SEEN": "${{inputs.rate}}"},
    )
    jobs.until("reads")
    read, told, place, name = jobs.lines("reads")
    assert read == "onetwothree"
    assert told == f"0.5 {data}/rows/ ${{{{inputs.rate}}}}"  # expressions are the command's alone
    assert place.startswith("/mnt/azureml/cr/j/")
    assert place.endswith("/exe/wd")
    assert name == "single.txt"


def test_outputs_go_where_they_are_asked_to(emulator, data, jobs):
    jobs.run(
        "import pathlib, os\n"
        "pathlib.Path(os.environ['AZURE_ML_OUTPUT_model'], 'deep').mkdir()\n"
        "pathlib.Path(os.environ['AZURE_ML_OUTPUT_model'], 'deep', 'm.bin').write_bytes(b'model')\n"
        "pathlib.Path(os.environ['AZURE_ML_OUTPUT_report']).write_text('fine')\n"
        "pathlib.Path(os.environ['AZURE_ML_OUTPUT_usual'], 'x').write_text('1')",
        outputs={
            "model": {"jobOutputType": "uri_folder", "uri": f"{data}/out/model/", "mode": "Upload"},
            "report": {"jobOutputType": "uri_file", "uri": f"{data}/out/report.json", "mode": "Upload"},
            "usual": {"jobOutputType": "uri_folder"},
        },
    )
    assert emulator.storage.read(f"{data}/out/model/deep/m.bin") == b"model"
    assert emulator.storage.read(f"{data}/out/report.json") == b"fine"
    workspace = emulator.workspaces.get(emulator.place.workspace_id)
    usual = f"https://{workspace.account}.blob.core.windows.net/{workspace.container}/azureml/asked/usual/x"
    assert emulator.storage.read(usual) == b"1"


def test_of_a_job_that_fails_only_mounts_are_kept(emulator, data, jobs):
    outputs = {
        "mounted": {"jobOutputType": "uri_folder", "uri": f"{data}/m/", "mode": "ReadWriteMount"},
        "uploaded": {"jobOutputType": "uri_folder", "uri": f"{data}/u/", "mode": "Upload"},
    }
    jobs.submit("fails", "touch ${{outputs.mounted}}/x ${{outputs.uploaded}}/x; exit 1", outputs=outputs)
    assert jobs.until("fails")["status"] == "Failed"
    assert emulator.storage.exists(f"{data}/m/x")
    assert not emulator.storage.exists(f"{data}/u/x")


def test_the_code_is_in_the_working_folder(emulator, jobs, data):
    emulator.storage.write(f"{data}/code/main.py", b"import helper; print(helper.WORD)")
    emulator.storage.write(f"{data}/code/helper.py", b"WORD = 'helped'")
    code = jobs.arm("PUT", "codes/digest/versions/1", {"properties": {"codeUri": f"{data}/code"}}).json()["id"]
    jobs.submit("coded", "python main.py", codeId=code)
    jobs.until("coded")
    assert jobs.lines("coded") == ["helped"]


def test_another_jobs_output_may_be_an_input(data, jobs):
    jobs.run(
        "import os, pathlib; pathlib.Path(os.environ['AZURE_ML_OUTPUT_m'], 'x').write_text('made')",
        "first",
        outputs={"m": {"jobOutputType": "uri_folder", "uri": f"{data}/first", "mode": "Upload"}},
    )
    told = jobs.run(
        "import os, pathlib; print(pathlib.Path(os.environ['AZURE_ML_INPUT_m'], 'x').read_text())",
        "second",
        inputs={"m": {"jobInputType": "uri_folder", "uri": "azureml://jobs/first/outputs/m"}},
    )
    assert told == ["made"]


def test_datastores_and_assets_are_read(emulator, jobs):
    workspace = emulator.workspaces.get(emulator.place.workspace_id)
    store = f"https://{workspace.account}.blob.core.windows.net/{workspace.container}"
    emulator.storage.write(f"{store}/rows/x", b"stored")
    uri = "azureml://datastores/workspaceblobstore/paths/rows/"
    asset = jobs.arm("PUT", "data/rows/versions/1", {"properties": {"dataType": "uri_folder", "dataUri": uri}}).json()[
        "id"
    ]
    told = jobs.run(
        "import os, pathlib\n"
        "for name in ('short', 'asset'):\n"
        "    print(pathlib.Path(os.environ['AZURE_ML_INPUT_' + name], 'x').read_text())",
        inputs={
            "short": {"jobInputType": "uri_folder", "uri": uri},
            "asset": {"jobInputType": "uri_folder", "uri": asset},
        },
    )
    assert told == ["stored", "stored"]


def test_the_services_variables_are_set(emulator, jobs):
    seen = json.loads(jobs.run(ENVIRON, experimentName="trials")[0])
    place = emulator.place
    assert seen["AZUREML_RUN_ID"] == seen["MLFLOW_RUN_ID"] == "asked"
    assert seen["AZUREML_ARM_SUBSCRIPTION"] == place.subscription
    assert seen["AZUREML_ARM_RESOURCEGROUP"] == place.resource_group
    assert seen["AZUREML_ARM_WORKSPACE_NAME"] == place.workspace
    assert seen["MLFLOW_TRACKING_URI"].endswith(place.workspace_id)
    assert seen["MLFLOW_EXPERIMENT_NAME"] == "trials"
    assert not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MLINFRA_RESULT"} & seen.keys()


def test_files_of_the_run_are_kept_beside_its_logs(emulator, jobs):
    jobs.run("import os; os.makedirs('outputs/a'); open('outputs/a/note.txt', 'w').write('kept')")
    assert jobs.details("asked")["logFiles"] == {}
    workspace = emulator.workspaces.get(emulator.place.workspace_id)
    folder = f"https://{workspace.account}.blob.core.windows.net/azureml/ExperimentRun/dcid.asked"
    assert emulator.storage.read(f"{folder}/outputs/a/note.txt") == b"kept"


def test_lines_are_seen_while_the_job_runs(jobs):
    jobs.submit("talks", "echo first; sleep 60")
    jobs.written("talks", "first")
    assert jobs.get("talks")["status"] == "Running"
    jobs.cancel("talks")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"inputs": {"x": {"jobInputType": "uri_folder", "uri": "data/nothing"}}}, "does not exist, or is empty"),
        ({"inputs": {"x": {"jobInputType": "uri_file", "uri": "approvals/x"}}}, "not authorized"),
        ({"outputs": {"x": {"jobOutputType": "uri_folder", "uri": "approvals/x/", "mode": "Upload"}}}, "authorized"),
    ],
)
def test_data_is_read_and_written_in_the_name_of_the_jobs_identity(environment, emulator, jobs, more, words):
    account = environment.stores["approvals"].uri.rpartition("/")[0]
    emulator.storage.write(f"{account}/approvals/x", b"1")
    known = {kind: {"x": {**each["x"], "uri": f"{account}/{each['x']['uri']}"}} for kind, each in more.items()}
    jobs.submit("denied", "touch ${{outputs.x}}/y" if "outputs" in more else "echo ${{inputs.x}}", **known)
    assert jobs.until("denied")["status"] == "Failed"
    _, code, told = jobs.error("denied")
    assert code == "DataAccessError"
    assert words in told


def test_without_an_identity_the_workspaces_own_works(emulator, jobs):
    workspace = emulator.workspaces.get(emulator.place.workspace_id)
    uri = f"https://{workspace.account}.blob.core.windows.net/{workspace.container}/own/"
    seen = jobs.run(
        f"{ENVIRON}; open(os.environ['AZURE_ML_OUTPUT_o'] + '/x', 'w').write('1')",
        identity=None,
        outputs={"o": {"jobOutputType": "uri_folder", "uri": uri, "mode": "Upload"}},
    )
    assert "MSI_ENDPOINT" not in json.loads(seen[0])
    assert emulator.storage.read(f"{uri}x") == b"1"
