from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mlinfra
from mlinfra.package.kitfiles import TRAVELS

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(mlinfra.__file__).parent
FILES = sorted(
    path.relative_to(HOME).as_posix()
    for name in TRAVELS
    for path in ([HOME / name] if name.endswith(".py") else (HOME / name).rglob("*.py"))
)
MAY_IMPORT = {"runner": ("mlinfra.runner",), "modelkit": ("mlinfra.errors", "mlinfra.modelkit"), "errors.py": ()}
NEWER_MODULES = {"tomllib", "annotationlib", "compression"}
# What 3.9 does not know, by the last part of its name.
NEWER_NAMES = {
    *(
        "ParamSpec",
        "TypeAlias",
        "TypeGuard",
        "Concatenate",
        "Self",
        "Never",
        "LiteralString",
        "assert_never",
        "override",
    ),
    *("Unpack", "TypeVarTuple", "NotRequired", "Required", "reveal_type", "dataclass_transform", "TypeAliasType"),
    *("StrEnum", "UTC", "pairwise", "batched", "chdir", "file_digest", "ExceptionGroup", "TaskGroup", "EllipsisType"),
    *("NoneType", "UnionType", "aclosing", "bit_count", "hardlink_to", "get_annotations", "stdlib_module_names"),
}
NEWER_ARGUMENTS = {
    "zip": {"strict"},
    "dataclass": {"slots", "kw_only"},
    "Popen": {"process_group"},
    "realpath": {"strict"},
}


def tree_of(path: str) -> ast.Module:
    return ast.parse((HOME / path).read_text(encoding="utf-8"), filename=path, feature_version=(3, 9))


def at_run_time(node: ast.AST, *, into_functions: bool) -> Iterator[ast.AST]:
    """Every node but those for type checkers alone: annotations, and blocks under TYPE_CHECKING."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"} or (isinstance(node, ast.If) and _for_checkers(node) and name == "body"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if into_functions or not is_function:
                yield child
                yield from at_run_time(child, into_functions=into_functions)


def _for_checkers(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room that is imported"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_standard(name: str) -> bool:
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names and top not in NEWER_MODULES


def test_there_are_files_to_look_at() -> None:
    assert {"__init__.py", "errors.py", "runner/main.py"} <= set(FILES)


@pytest.mark.parametrize("path", FILES)
def test_what_travels_is_written_in_python_3_9(path: str) -> None:
    tree = tree_of(path)
    assert (
        any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body) or not tree.body[1:]
    )
    for node in at_run_time(tree, into_functions=True):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else {name}
        assert not names & NEWER_NAMES, f"{path}:{node.lineno}"  # type: ignore[attr-defined]  every such node has a line
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = {keyword.arg for keyword in node.keywords}
            assert not given & NEWER_ARGUMENTS.get(called, set()), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES)
def test_what_travels_needs_the_standard_library_alone(path: str) -> None:
    """`modelkit` may import a model's own library inside a function, the runner nothing anywhere."""
    room = path.partition("/")[0]
    nodes = at_run_time(tree_of(path), into_functions=room == "runner")
    strangers = {name for name in imported(nodes) if not is_standard(name)}
    assert all(name.startswith(MAY_IMPORT.get(room, ())) for name in strangers), strangers


@pytest.mark.parametrize(
    "text",
    [
        "match x:\n    case 1: pass",
        "with (open('a') as a, open('b') as b): pass\nexcept* ValueError: pass",
        "type X = int",
    ],
)
def test_newer_syntax_would_be_found(text: str) -> None:
    with pytest.raises(SyntaxError):
        ast.parse(text, feature_version=(3, 9))


@pytest.mark.parametrize("text", ["import numpy", "from tomllib import loads", "if True:\n    import pydantic"])
def test_other_imports_would_be_found(text: str) -> None:
    assert not all(map(is_standard, imported(at_run_time(ast.parse(text), into_functions=False))))
