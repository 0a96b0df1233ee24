"""The Python interface: the same verbs, the same engine."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import mlinfra
from mlinfra.api.endpoints import Endpoint, Endpoints
from mlinfra.api.jobs import Job, Jobs
from mlinfra.api.models import Models, Version
from mlinfra.errors import CapabilityError, EnvironmentNotFound, JobFailed, NotFound, SpecError, UsageError
from mlinfra.spec import JobSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.api import Environment


@pytest.fixture
def local(project: Path) -> Iterator[Environment]:
    with mlinfra.environment() as environment:
        yield environment


def test_the_name_stays_a_function_after_the_module_of_that_name_is_imported():
    """The import system would put the module in its place."""
    code = "import mlinfra, mlinfra.environment; from mlinfra.environment import Environment; import mlinfra.api; "
    code += "assert mlinfra.environment is mlinfra.api.environment"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("name", mlinfra.__all__)
def test_every_public_name_is_there(name: str):
    assert getattr(mlinfra, name) is not None


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mlinfra.nothing  # noqa: B018  the access is the test


def test_importing_the_package_loads_the_standard_library_alone():
    code = "import sys, mlinfra; print(sorted(name for name in sys.modules if name.partition('.')[0] in "
    code += "{'mlinfra', 'pydantic', 'click', 'numpy'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['mlinfra']"


def test_an_environment_is_found_by_name_and_folder(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with mlinfra.environment("local", folder=project) as environment:
        assert environment.description.name == "local"
        assert environment.session.folders.root == project
    with pytest.raises(EnvironmentNotFound):
        mlinfra.environment("nowhere")


@pytest.mark.parametrize(
    ("handles", "verbs"),
    [
        (Jobs, "submit list get wait"),
        (Job, "refresh wait logs stop delete download metrics native"),
        (Models, "register list get versions unalias history delete"),
        (Version, "show alias stage approve evaluate copy_to download delete native verify"),
        (Endpoints, "deploy list get delete"),
        (Endpoint, "show invoke predict replay logs metrics set_traffic resume abort rollback delete native"),
    ],
)
def test_the_verbs_are_those_of_the_command_line_each_with_its_contract(handles: type, verbs: str):
    for verb in verbs.split():
        assert inspect.getdoc(getattr(handles, verb)), f"{handles.__name__}.{verb}"


@pytest.mark.thorough
def test_a_job_from_python(local):
    spec = JobSpec(
        name="hello",
        command=[sys.executable, "-c", "import sys; print(sys.argv[1])", "${{params.word}}"],
        params={"word": "a"},
    )
    job = local.jobs.submit(spec, wait=True)
    assert (job.state, job.reused) == ("succeeded", False)
    assert "a" in [line.text for line in job.logs()]
    assert local.jobs.submit(spec).reused is True
    changed = local.jobs.submit(spec, set={"params.word": "8"}, wait=True)
    assert changed.id != job.id
    assert "8" in [line.text for line in changed.logs()]
    assert local.jobs.submit(spec, new="again").id != job.id
    assert local.jobs.get(job.handle).refresh().state == "succeeded"
    assert {each.id for each in local.jobs.list(name="hello")} >= {job.id, changed.id}
    run = local.runs.get(changed.handle)
    assert run.params == {"word": "8"}
    with pytest.raises(CapabilityError):
        job.native()
    job.delete()
    with pytest.raises(NotFound):
        job.refresh()


@pytest.mark.thorough
def test_a_failed_job_raises_and_tells_why(local):
    spec = JobSpec(name="failing", command=["python", "-c", "raise SystemExit('no luck')"])
    with pytest.raises(JobFailed, match="failing-"):
        local.jobs.submit(spec, wait=True)
    waited = local.jobs.wait(local.jobs.list(name="failing"), check=False)
    assert [job.state for job in waited.jobs] == ["failed"]


def test_settings_name_fields(local):
    spec = JobSpec(name="hello", command=["python", "-c", "1"])
    with pytest.raises(SpecError):
        local.jobs.submit(spec, set={"resources.cup": 1})
    with pytest.raises(SpecError):
        local.jobs.submit(spec, set=["resources.cup=1"])


def test_a_file_for_one_thing_holds_one(local, project: Path):
    job = "version: 1\nkind: job\nname: {}\ncommand: [python]\n"
    (project / "two.yaml").write_text(job.format("one") + "---\n" + job.format("two"))
    with pytest.raises(UsageError, match="the file should hold one job"):
        local.jobs.submit("two.yaml")
    with pytest.raises(UsageError, match="the file should hold one endpoint"):
        local.endpoints.deploy("two.yaml")


def test_a_key_that_would_leave_the_folder_is_not_fetched(local, project: Path, monkeypatch: pytest.MonkeyPatch):
    (project / "a.txt").write_text("a")
    (info,) = local.store.put("a.txt", "mine/a.txt")
    store = local.session.client.store()
    strange = type(info)("mine/../../a.txt", 1, "e", info.modified)
    monkeypatch.setattr(type(store), "list", lambda *_: iter([strange]))
    with pytest.raises(UsageError, match="outside of the folder"):
        local.store.get("mine", "back")
    assert not (project / "back").exists()
