"""What a job leaves is stored as the service stores it: archives, single files, reasons."""

from __future__ import annotations


def test_model_and_data_become_archives(jobs):
    code = (
        "import os\n"
        "os.makedirs('/opt/ml/model/deep')\n"
        "open('/opt/ml/model/deep/weights', 'w').write('w')\n"
        "open('/opt/ml/output/data/report', 'w').write('r')"
    )
    job = jobs.run(code)
    name = job["TrainingJobName"]
    assert jobs.keys(name) == ["output/model.tar.gz", "output/output.tar.gz"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"{jobs.output}/{name}/output/model.tar.gz"
    assert jobs.archive(name, "output/model.tar.gz") == {"deep/weights": "w"}
    assert jobs.archive(name, "output/output.tar.gz") == {"report": "r"}


def test_without_compression_the_files_are_stored_as_they_are(jobs):
    code = (
        "import os; os.makedirs('/opt/ml/model/deep')\n"
        "open('/opt/ml/model/deep/weights', 'w').write('w')\n"
        "open('/opt/ml/output/data/report', 'w').write('r')"
    )
    job = jobs.run(code, OutputDataConfig={"CompressionType": "NONE"})
    assert jobs.keys(job["TrainingJobName"]) == ["output/data/report", "output/model/deep/weights"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model/")


def test_a_job_that_leaves_nothing_stores_nothing(jobs):
    job = jobs.run("")
    assert job["TrainingJobStatus"] == "Completed"
    assert jobs.keys(job["TrainingJobName"]) == []


def test_a_failure_has_its_reason_and_its_data_and_no_model(jobs):
    code = (
        "import sys\n"
        "open('/opt/ml/output/failure', 'w').write('no luck\\n')\n"
        "open('/opt/ml/output/data/report', 'w').write('r')\n"
        "open('/opt/ml/model/half', 'w').write('h')\n"
        "sys.exit(7)"
    )
    job = jobs.run(code)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == "AlgorithmError: no luck, exit code: 7"
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == job["FailureReason"]
    assert jobs.keys(job["TrainingJobName"]) == ["output/output.tar.gz"]


def test_a_container_that_was_killed_says_so_by_its_code(jobs):
    job = jobs.run("import os; os.kill(os.getpid(), 9)")
    assert job["FailureReason"] == "AlgorithmError: , exit code: 137"


def test_nothing_is_left_on_the_machine(jobs, emulator):
    name = jobs.run("open('/opt/ml/model/m', 'w')")["TrainingJobName"]
    assert list((emulator.folder / "training").iterdir()) == []
    assert [job["name"] for job in emulator.host.call("ListJobs")["jobs"]] == []
    assert jobs.keys(name) == ["output/model.tar.gz"]
