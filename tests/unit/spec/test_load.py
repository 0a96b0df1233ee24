import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlinfra.errors import NotFound, Problem, SpecError, UsageError
from mlinfra.spec import (
    LoadedSpec,
    add_kind,
    check_surroundings,
    known_kinds,
    load,
    load_text,
    platforms,
    with_settings,
)
from mlinfra.spec.load.resolve import resolve
from mlinfra.spec.scalars import UnclearNumber, UnclearText

JOB = "version: 1\nkind: job\nname: {name}\ncommand: [python, train.py]\n"


def write(file: Path, name: str = "credit-train", more: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(JOB.format(name=name) + more)
    return file


def only(text: str) -> LoadedSpec:
    (one,) = load_text(text)
    return one


def test_a_spec_knows_its_file_and_the_folder_of_its_paths(tmp_path: Path):
    file = write(tmp_path / "jobs" / "train.yaml", more="code: src\n")
    (one,) = load(file)
    assert (one.file, one.base, one.spec.code) == (str(file), tmp_path / "jobs", "src")


def test_a_problem_found_later_gets_its_line_from_the_file():
    one = only(JOB.format(name="hello") + "resources:\n  cpu: 4\n  spot: true\n")
    found = one.located(Problem("not offered there", path="resources.spot", todo="leave it out"))
    assert (found.file, found.line, found.column, found.todo) == ("<text>", 7, 9, "leave it out")
    assert one.located(Problem("x", path="resources.max_runtime")).line == 6
    assert one.located(Problem("x", path="command[1]")).column == 19
    assert one.located(Problem("x", path="scale")).line == 1


def test_several_files_tell_all_their_problems_at_once(tmp_path: Path):
    files = [write(tmp_path / "a.yaml", more="a: 1\n"), write(tmp_path / "b.yaml", more="b: 1\n")]
    with pytest.raises(SpecError) as caught:
        load(files)
    assert [(Path(problem.file).name, problem.line) for problem in caught.value.problems] == [
        ("a.yaml", 5),
        ("b.yaml", 5),
    ]


def test_a_name_is_given_once_in_all_files_and_once_for_each_kind(tmp_path: Path):
    files = [write(tmp_path / "a.yaml"), write(tmp_path / "b.yaml")]
    with pytest.raises(SpecError, match=r"b\.yaml:3:7: name: a second job of this name; the first is in .*a\.yaml:3"):
        load(files)
    write(tmp_path / "b.yaml", more="---\nkind: model\nname: credit-train\n", name="other-job")
    assert [one.spec.kind for one in load(files)] == ["job", "job", "model"]


def test_one_wrong_document_hides_no_other():
    with pytest.raises(SpecError) as caught:
        load_text(JOB.format(name="x") + "---\nkind: model\nnam: y\n---\nkind: endpoint\nname: y\n---\na: [\n")
    assert [problem.line for problem in caught.value.problems] == [3, 6, 7, 9, 10, 13]


def test_paths_may_go_as_far_as_the_project(tmp_path: Path):
    file = write(tmp_path / "jobs" / "train.yaml", more="code: ..\n")
    with pytest.raises(SpecError, match="leads out of the project"):
        load(file)
    assert load(file, project=tmp_path)[0].spec.code == ".."
    outside = write(tmp_path / "jobs" / "train.yaml", more="code: ../..\n")
    with pytest.raises(SpecError, match="leads out of the project"):
        load(outside, project=tmp_path)


def test_a_link_may_stay_inside_and_a_loop_may_not(tmp_path: Path):
    file = write(tmp_path / "train.yaml", more="inputs: {train: here.csv}\n")
    (tmp_path / "data.csv").touch()
    (tmp_path / "here.csv").symlink_to("data.csv")
    assert load(file)
    (tmp_path / "here.csv").unlink()
    (tmp_path / "here.csv").symlink_to("here.csv")
    with pytest.raises(SpecError, match="leads out of the project"):
        load(file)


def test_what_is_not_there_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound, match="no such file"):
        load(tmp_path / "absent.yaml")


def test_a_folder_a_pipe_and_a_device_are_no_spec_files(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UsageError, match="not a file"):
            load(path)


def test_a_list_of_no_files_holds_no_specs():
    assert load([]) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("Null", None), ("true", True), ("FALSE", False), ("tRUE", "tRUE"), ("0", 0),
        ("-0", 0), ("+12", 12), ("0x1F", 31), ("1e3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-.5e-3", -0.0005),
        ("1.2.3", "1.2.3"), ("1e", "1e"), ("e1", "e1"), (".", "."), ("-", "-"), ("+", "+"), ("..", ".."),
        ("2026-01-31", "2026-01-31"), ("0x", "0x"), ("1 2", "1 2"), ("nob", "nob"), ("٣", "٣"), ("1" * 401, "1" * 401),
    ],
)  # fmt: skip
def test_a_plain_scalar_means_what_yaml_1_2_says(text: str, value: object):
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("012", UnclearNumber), ("-012", UnclearNumber), ("089", UnclearNumber), ("00", UnclearNumber),
        ("0o17", UnclearNumber), ("no", UnclearText), ("Yes", UnclearText), ("OFF", UnclearText), ("y", UnclearText),
        ("12:30:45", UnclearText), ("1:30", UnclearText), ("-1:30.5", UnclearText), ("1_000", UnclearText),
        ("1_000.5", UnclearText), ("0b101", UnclearText), ("0x_1F", UnclearText),
    ],
)  # fmt: skip
def test_what_yaml_1_1_reads_differently_is_marked(text: str, kind: type):
    assert type(resolve(text)) is kind


def test_unclear_text_is_good_where_text_is_asked_for():
    spec = only(JOB.format(name="hello") + "env: {A: no, B: 12:30:45, C: 1_000}\n").spec
    assert spec.env == {"A": "no", "B": "12:30:45", "C": "1_000"}
    assert all(type(value) is str for value in spec.as_document()["env"].values())


def test_a_secret_given_in_the_wrong_place_is_not_shown():
    planted = "geheim-0815!"
    texts = [
        f"secrets: {{DB_PASSWORD: '{planted}'}}\n",
        f"env: {{DB_PASSWORD: ['{planted}']}}\n",
        f"params: {{api_key: {{a: '{planted}'}}}}\n",
        f"env: {{MLINFRA_TOKEN: '{planted}'}}\n",
        f"inputs: {{a: 'https://me:{planted}@a.example/b'}}\n",
        f"code: {{git: 'https://me:{planted}@a.example/b', ref: x}}\n",
        f"environments: {{'*': {{secrets: {{A: '{planted}'}}}}}}\n",
        f"passwords: '{planted}'\n",
        f"secrets: '{planted}'\n",
        f"tags: {{x: {{password: '{planted}'}}}}\n",
    ]
    for text in texts:
        with pytest.raises(SpecError) as caught:
            load_text(JOB.format(name="hello") + text)
        assert planted not in str(caught.value), text
        assert planted not in repr(caught.value.as_document()), text


def test_a_platform_is_known_by_its_installed_adapter(monkeypatch: pytest.MonkeyPatch):
    text = JOB.format(name="hello") + "machine: {acme: large}\n"
    with pytest.raises(SpecError, match="no such platform"):
        load_text(text)

    class Entry:
        name = "acme"

    asked = []
    monkeypatch.setattr(platforms, "entry_points", lambda group: asked.append(group) or [Entry])
    assert load_text(text)
    assert asked == ["mlinfra.adapters"]
    load_text(JOB.format(name="hello") + "machine: {aws: ml.m5.large}\n")
    assert len(asked) == 1


def test_a_kind_can_be_added_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mlinfra.spec.kinds._KINDS", {"job": "mlinfra.spec.job:JobSpec"})
    add_kind("train", "mlinfra.spec.job:JobSpec")
    add_kind("train", "mlinfra.spec.job:JobSpec")
    assert known_kinds() == ("job", "train")
    with pytest.raises(ValueError, match="already"):
        add_kind("train", "elsewhere:Spec")
    assert only(JOB.format(name="hello").replace("job", "train")).spec.name == "hello"


LAZY = """
import sys
import mlinfra.spec
from mlinfra.spec import JobSpec, load, load_text
assert callable(load), load
from mlinfra.spec.load import LoadedSpec
assert callable(mlinfra.spec.load), mlinfra.spec.load
JobSpec(name="hello", command="a")
assert not [name for name in sys.modules if name.startswith("ruamel")]
assert "mlinfra.spec.endpoint" not in sys.modules
load_text("version: 1\\nkind: job\\nname: hello\\ncommand: a\\n")
assert "mlinfra.spec.endpoint" not in sys.modules
heavy = {"boto3", "botocore", "google.auth", "azure", "pulumi", "pandas", "numpy", "rich"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_nothing_is_imported_before_it_is_needed():
    subprocess.run([sys.executable, "-W", "error", "-c", LAZY], check=True)


def test_what_python_made_and_settings_changed_is_checked_against_its_surroundings(tmp_path: Path):
    job = only(JOB.format(name="hello")).spec
    check_surroundings(job, tmp_path)
    changed = with_settings(job, ["code=/etc", "inputs.train=../a.csv", "machine.awss=x"])
    with pytest.raises(SpecError) as caught:
        check_surroundings(changed, tmp_path)
    assert {problem.path for problem in caught.value.problems} == {"code", "inputs.train.uri", "machine.awss"}
    with pytest.raises(SpecError, match=r"environments\.\*\.code"):
        check_surroundings(type(job)(name="hello", command="a", environments={"*": {"code": "../x"}}), tmp_path)
    check_surroundings(type(job)(name="hello", command="a", code="../x"), tmp_path / "jobs", tmp_path)
