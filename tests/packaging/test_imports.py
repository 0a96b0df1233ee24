"""Who may import whom: the table of rooms, held against the code."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "src", ROOT / "adapters")
SDKS = {"boto3", "botocore", "sagemaker", "google", "azure", "obstore", "moto"}
PULUMI = {"pulumi", "pulumi_aws", "pulumi_gcp", "pulumi_azure_native"}
CORE = {"errors", "modelkit", "spec", "contract", "catalog", "environment", "package"}
MODEL_LIBRARIES = {
    "joblib",
    "lightgbm",
    "mlflow",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "scipy",
    "skl2onnx",
    "sklearn",
    "skops",
    "xgboost",
}


@dataclass(frozen=True)
class Room:
    """What may be imported: rooms of mlinfra, libraries anywhere, libraries inside functions alone."""

    rooms: set[str]
    libraries: frozenset[str] = frozenset()
    inside_functions: frozenset[str] = frozenset()


RULES = {
    "errors": Room(set()),
    "__init__": Room({"api", "errors", "environment", "modelkit", "runner", "spec"}),
    "modelkit": Room({"errors", "modelkit"}, inside_functions=frozenset(MODEL_LIBRARIES)),
    "spec": Room(CORE, frozenset({"pydantic", "pydantic_core", "ruamel"})),
    "contract": Room(CORE | {"contract"}, frozenset({"pydantic"})),
    "catalog": Room(CORE, frozenset({"pydantic"})),
    "environment": Room(CORE, frozenset({"pydantic"})),
    "package": Room(CORE, frozenset({"packaging", "pathspec", "pydantic", "uv"})),
    "engine": Room(CORE | {"engine"}, frozenset({"pydantic"})),
    "runner": Room({"runner"}),
    "serving": Room(
        {"errors", "modelkit", "runner.fetch", "runner.problem", "runner.web", "serving"},
        frozenset({"httptools", "numpy", "orjson", "simdjson", "uvloop"}),
        frozenset(MODEL_LIBRARIES | {"google.protobuf", "grpc"}),
    ),
    "host": Room(
        {"catalog", "contract", "errors", "host", "modelkit", "package", "runner", "serving", "spec"},
        frozenset({"httptools", "orjson", "pydantic", "uvloop"}),
    ),
    "api": Room(CORE | {"api", "engine"}),
    "cli": Room(
        CORE | {"api", "cli", "emulator", "engine", "images", "infra"}, frozenset({"click"}), frozenset({"rich"})
    ),
    "testing": Room(CORE | {"api", "engine", "testing"}, frozenset({"pytest"})),
    "images": Room(CORE | {"images"}, frozenset({"packaging"})),
    "emulator": Room(
        {"catalog", "contract", "emulator", "environment", "errors", "host", "spec"},
        frozenset({"cheroot", "cryptography", "grpc", "pydantic", "ruamel", "werkzeug"}),
    ),
    "emulator.hosting": Room({"contract", "emulator", "environment", "errors", "host", "spec"}),
    "emulator.jobs": Room({"emulator", "errors", "host"}),
    "emulator.objects": Room({"emulator"}),
    "emulator.aws": Room(
        {"catalog", "contract", "emulator", "environment", "errors", "host", "spec"},
        frozenset({"botocore", "moto", "pydantic", "werkzeug"}),
    ),
    "emulator.azure": Room(
        {"catalog", "contract", "emulator", "environment", "errors", "host", "spec"},
        frozenset({"cryptography", "pydantic", "werkzeug"}),
    ),
    "emulator.gcp": Room(
        {"catalog", "contract", "emulator", "environment", "errors", "host", "spec"},
        frozenset({"cryptography", "google", "google_crc32c", "grpc", "proto", "pydantic", "werkzeug"}),
    ),
    "emulator.providers": Room({"emulator", "errors"}, frozenset({"google.protobuf", "grpc", "pulumi"})),
    "infra": Room({"environment", "errors", "infra", "spec"}, frozenset({"pulumi", "pydantic", "pydantic_core"})),
    "infra.local": Room(
        {"environment", "errors", "host", "infra", "spec"}, frozenset({"pulumi", "pydantic", "pydantic_core"})
    ),
    "infra.automation": Room(
        {"engine", "environment", "errors", "infra", "package.atomic"}, frozenset({"grpc", "pulumi", "ruamel"})
    ),
    "infra.aws": Room(
        {"catalog", "environment", "errors", "infra", "spec"},
        frozenset({"pulumi", "pulumi_aws", "pydantic", "pydantic_core"}),
    ),
    "infra.azure": Room(
        {"catalog", "environment", "errors", "infra", "spec"},
        frozenset({"pulumi", "pulumi_azure_native", "pydantic", "pydantic_core"}),
    ),
    "infra.gcp": Room(
        {"catalog", "environment", "errors", "infra", "spec"},
        frozenset({"pulumi", "pulumi_gcp", "pydantic", "pydantic_core"}),
    ),
    "objectstore": Room({"contract", "errors", "objectstore", "package.atomic"}, frozenset({"obstore"})),
    "adapter": Room({"catalog", "contract", "environment", "errors", "spec"}, frozenset({"pydantic"})),
    "mlinfra_local client": Room({"contract", "environment", "errors", "host"}),
    "mlinfra_aws client": Room(
        {"catalog", "contract", "environment", "errors", "objectstore"},
        frozenset({"boto3", "botocore"}),
        frozenset({"sagemaker"}),
    ),
    "mlinfra_azure client": Room({"catalog", "contract", "environment", "errors", "objectstore"}, frozenset({"azure"})),
    "mlinfra_gcp client": Room(
        {"catalog", "contract", "environment", "errors", "objectstore"}, frozenset({"google", "grpc"})
    ),
}
# The only doors to Pulumi and its packages, and to the vendors' software.
PULUMI_DOORS = {
    "emulator.providers",
    "infra",
    "infra.automation",
    "infra.aws",
    "infra.azure",
    "infra.gcp",
    "infra.local",
}
DOORS = {
    "emulator.aws",
    "emulator.gcp",
    "objectstore",
    "mlinfra_aws client",
    "mlinfra_azure client",
    "mlinfra_gcp client",
}


@dataclass(frozen=True)
class Import:
    file: Path
    line: int
    module: str
    in_function: bool
    for_types: bool


def files() -> list[Path]:
    return [path for source in SOURCES for path in sorted(source.rglob("*.py"))]


def room_of(path: Path) -> str:
    if path.is_relative_to(ROOT / "adapters"):
        package = path.relative_to(ROOT / "adapters").parts[0]
        return f"{package} client" if path.name == "client.py" else "adapter"
    parts = path.relative_to(ROOT / "src" / "mlinfra").parts
    if parts[0] in {"emulator", "infra"} and len(parts) > 2:
        return f"{parts[0]}.{parts[1]}"
    return parts[0].removesuffix(".py")


def imports(path: Path) -> list[Import]:
    found: list[Import] = []

    def visit(node: ast.AST, *, in_function: bool, for_types: bool) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            in_function = True
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for_types = True
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = _targets(node)
        found.extend(Import(path, node.lineno, name, in_function, for_types) for name in names)
        for child in ast.iter_child_nodes(node):
            visit(child, in_function=in_function, for_types=for_types)

    visit(ast.parse(path.read_text()), in_function=False, for_types=False)
    return found


def _targets(node: ast.ImportFrom) -> list[str]:
    """`from mlinfra import errors` reaches the room `errors`; relative imports are not the house's style."""
    if node.level:
        return ["(relative)"]
    if node.module == "mlinfra":
        return [f"mlinfra.{alias.name}" for alias in node.names]
    return [str(node.module)]


def allowed(each: Import) -> bool:
    top, _, rest = each.module.partition(".")
    room = room_of(each.file)
    rule = RULES[room]
    if top in sys.stdlib_module_names or (top == "_typeshed" and each.for_types):
        return True
    if each.module in {"mlinfra", "mlinfra.__version__"}:
        return True  # its version
    if top == "mlinfra":
        target = rest.split(".")[0]
        return (
            target == room.partition(".")[0]
            or target in rule.rooms
            or any(rest == name or rest.startswith(f"{name}.") for name in rule.rooms)
        )
    if top.startswith("mlinfra_"):
        return each.file.is_relative_to(ROOT / "adapters" / top)
    names = {top, each.module}  # a package that shares its top with an SDK is named whole: google.protobuf
    return bool(names & rule.libraries or (names & rule.inside_functions and (each.in_function or each.for_types)))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_what_it_may(path: Path):
    assert room_of(path) in RULES, "a new room needs a line in the table"
    wrong = [f"{each.file.relative_to(ROOT)}:{each.line}: {each.module}" for each in imports(path) if not allowed(each)]
    assert wrong == []


def test_sdks_and_pulumi_come_in_by_their_doors_alone():
    libraries = {room: rule.libraries | rule.inside_functions for room, rule in RULES.items()}
    assert {room for room, used in libraries.items() if used & SDKS} == DOORS
    assert {room for room, used in libraries.items() if used & PULUMI} == PULUMI_DOORS


def test_the_walk_sees_what_is_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = tmp_path / "src" / "mlinfra" / "contract"
    source.mkdir(parents=True)
    culprit = source / "bad.py"
    culprit.write_text(
        "def f():\n    import boto3\nfrom mlinfra.engine import plan\nimport mlinfra_local\nfrom mlinfra import cli\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert [each.line for each in imports(culprit) if not allowed(each)] == [2, 3, 4, 5]
