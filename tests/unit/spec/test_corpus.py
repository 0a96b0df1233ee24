"""Every bad file is refused at the right place in plain words; every good file is read, and reads the same again."""

import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from mlinfra.errors import SpecError
from mlinfra.spec import Spec, load, load_text
from mlinfra.spec.kinds import model_of

CORPUS = Path(__file__).parent / "corpus"
EXPECTED = tomllib.loads((CORPUS / "expectations.toml").read_text())
GOOD = sorted(path.name for path in (CORPUS / "good").iterdir())


def numbered(text: str, count: int) -> str:
    return "".join(text.format(n=number) for number in range(count))


HEAD = "version: 1\nkind: job\nname: credit-train\ncommand: [python, train.py]\n"
PARAMS = "params:\n" + numbered("  name{n}: 1\n", 1_000)
LARGE = {  # made here: nobody wants them in a repository
    "2 MB": HEAD + "env: {A: " + "x" * 2_000_000 + "}\n",
    "depth 10,000, brackets": HEAD + "params: " + "[" * 10_000 + "]" * 10_000,
    "depth 10,000, braces": HEAD + "params: " + "{a: " * 10_000 + "}" * 10_000,
    "depth 10,000, dashes": HEAD + "params:\n  " + "- " * 10_000 + "a\n",
    "300,000 unclosed brackets": "[" * 300_000,
    "20,000 unknown keys": HEAD + numbered("key{n}: {n}\n", 20_000),
    "9,000 unknown keys": HEAD + numbered("key{n}: {n}\n", 9_000),
    "9,000 duplicates": HEAD + "params:\n" + "  depth: 6\n" * 9_000,
    "one key of 400 kB": HEAD + "? " + "k" * 400_000 + "\n: 1\n",
    "a number of 400,000 digits": HEAD + "params: {seed: " + "9" * 400_000 + "}\n",
    "a text of 400 kB": HEAD + "name: " + "a" * 400_000 + "\n",
    "500,000 blank lines": HEAD + "\n" * 500_000 + "nam: x\n",
    "words without end": HEAD + "nam: " + "x " * 250_000 + "\n",
    "aliases without end": HEAD + "overrides:\n  aws:\n    A: &a0 {x: 1}\n" + "".join(
        f"    A{number}: &a{number} {{x: *a{number - 1}, y: *a{number - 1}}}\n" for number in range(1, 60)
    ),
    "aliases ever deeper": HEAD + "overrides:\n  aws:\n    A: &a0 {x: 1}\n" + "".join(
        f"    A{number}: &a{number} {{x: *a{number - 1}}}\n" for number in range(1, 100)
    ),
    "a command of 400 kB": HEAD.replace("[python, train.py]", "a" * 400_000),
    "references without end": HEAD + "shell: " + "${{" * 150_000 + "\n",
    "references without end in a command": HEAD.replace("train.py]", '"' + "${{" * 150_000 + '"]'),
    "4,000 references to nothing": HEAD.replace("train.py]", numbered("'${{{{params.no{n}}}}}', ", 4_000) + "]")
    + PARAMS,
    "1,000 metrics that are none": HEAD + "metrics:\n" + numbered("  name{n}: {{}}\n", 1_000)
    + "outputs: {m: {type: model}}\nregister:\n  output: m\n  name: model-a\n  when:\n"
    + numbered("    nam{n}: '> 1'\n", 1_000),
    "4,000 overlays": HEAD + PARAMS + "environments:\n" + numbered("  e{n}: {{}}\n", 4_000),
    "50 overlays of a large body": HEAD + PARAMS + "inputs:\n" + numbered("  i{n}: a\n", 1_000) + "env:\n"
    + numbered("  e{n}: a\n", 1_000) + "environments:\n" + numbered("  e{n}: {{nam: 1}}\n", 50),
    "5,000 parameters": HEAD + "params:\n" + numbered("  name{n}: 1\n", 5_000),
    "9,000 platforms": HEAD + "machine:\n" + numbered("  p{n}: x\n", 9_000),
    "1,000 paths": HEAD + "inputs:\n" + numbered("  p{n}: ../x/{n}\n", 1_000),
    "100,000 tags": HEAD + "params:\n" + "".join("  - !a b\n" for number in range(50_000)),
    "a reference of 400 kB": HEAD.replace("train.py]", '"${{params.' + "x" * 400_000 + '}}"]'),
    "5,000 documents": "---\n".join([HEAD] * 5_000),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder with a link that leads out of it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "outside.csv").write_text("age\n")
    (folder / "link.csv").symlink_to("../outside.csv")
    return folder


def contents(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_the_table_names_every_bad_file_and_no_other():
    assert {path.stem for path in (CORPUS / "bad").iterdir()} == set(EXPECTED)
    assert len(EXPECTED) >= 60


@pytest.mark.parametrize("name", EXPECTED)
def test_a_bad_file_is_refused_with_every_problem_in_its_place(name: str, folder: Path):
    file = Path(shutil.copy(CORPUS / "bad" / f"{name}.yaml", folder))
    before = contents(folder.parent)
    begun = time.process_time()
    with pytest.raises(SpecError) as caught:
        load(file)
    assert time.process_time() - begun <= 10  # far from a figure: a busy machine needs a second, a hang minutes
    problems = caught.value.problems
    said = [(f"{one.line}:{one.column}", f"{one.path}: {one.what}" if one.path else one.what) for one in problems]
    assert [place for place, _ in said] == [place for place, _ in EXPECTED[name]]
    for (_, text), (_, begins) in zip(said, EXPECTED[name], strict=True):
        assert text.startswith(begins)
    assert all(one.file == str(file) and one.allowed and one.todo for one in problems)
    assert caught.value.exit_code == 2
    assert contents(folder.parent) == before


@pytest.mark.parametrize("name", EXPECTED)
def test_the_place_of_a_problem_is_where_the_value_given_stands(name: str, folder: Path):
    file = Path(shutil.copy(CORPUS / "bad" / f"{name}.yaml", folder))
    with pytest.raises(SpecError) as caught:
        load(file)
    lines = file.read_bytes().decode(errors="replace").split("\n")
    not_literal = {"a list", "a mapping", "nothing", "(not shown)", "a list, a mapping or an alias"}
    for one in caught.value.problems:
        if name == "overlay-breaks-a-reference":
            continue  # what breaks stands in the body, the fault in the overlay
        if one.given and one.given not in not_literal and not one.given.startswith(("tag:", "U+", "byte ")):
            rest = lines[one.line - 1][one.column - 1 :]
            assert rest.lstrip("'\"").startswith(one.given.strip('"')), one


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_reads_the_same_from_its_own_document(name: str):
    for one in load(CORPUS / "good" / name):
        document = one.spec.as_document()
        again = model_of(document["kind"]).from_document(document)
        assert again == one.spec
        assert again.as_document() == document


def test_a_parameter_that_would_harm_a_shell_is_a_text_like_any_other():
    (one,) = load(CORPUS / "good" / "harmless.yaml")
    assert one.spec.params["depth"] == "6; rm -rf /"
    assert one.spec.params == {
        "depth": "6; rm -rf /", "rate": 1e-3, "shuffle": True, "rows": 16, "note": "no", "half": 0.5,
        "day": "2026-01-31",
    }  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_a_huge_file_is_refused_without_a_hang(name: str):
    begun = time.process_time()
    with pytest.raises(SpecError) as caught:
        load_text(LARGE[name], file_name="huge.yaml")
    assert time.process_time() - begun <= 10  # far from a figure: a busy machine needs a second, a hang minutes
    assert len(str(caught.value)) < 100_000
    assert all(one.line and one.column and one.allowed and one.todo for one in caught.value.problems)


MEASURE = """
import resource, sys
from mlinfra.errors import SpecError
from mlinfra.spec import load, load_text
load_text("version: 1\\nkind: job\\nname: hello\\ncommand: a\\n")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load(sys.argv[1])
except SpecError:
    unit = 1 if sys.platform == "darwin" else 1024
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("name", [*LARGE, "alias-bomb"])
def test_a_huge_file_costs_little_memory(name: str, tmp_path: Path):
    file = tmp_path / "huge.yaml"
    file.write_text(LARGE[name] if name in LARGE else (CORPUS / "bad" / f"{name}.yaml").read_text())
    done = subprocess.run([sys.executable, "-c", MEASURE, file], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 100_000_000


def test_every_model_is_met_by_a_good_file():
    met: set[type[Spec]] = {type(one.spec) for name in GOOD for one in load(CORPUS / "good" / name)}
    assert {model.kind for model in met} == {"job", "model", "endpoint"}
