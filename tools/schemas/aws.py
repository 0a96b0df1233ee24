"""Extract what the AWS adapter knows of the vendor: request schemas, machine types, framework images.

Sources, all in installed packages: botocore's service descriptions, moto's table of EC2 instance types, and the
image tables of sagemaker-core. `--check` compares what is kept with what they say now.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "adapters" / "mlinfra_aws" / "schema.json"
MACHINES = ROOT / "src" / "mlinfra" / "catalog" / "aws" / "machines.json"
IMAGES = ROOT / "src" / "mlinfra" / "catalog" / "aws" / "images.json"

OPERATIONS = {
    "sagemaker": (
        "AddTags",
        "CreateEndpoint",
        "CreateEndpointConfig",
        "CreateModel",
        "CreateModelPackage",
        "CreateModelPackageGroup",
        "CreateTrainingJob",
        "DeleteEndpoint",
        "DeleteEndpointConfig",
        "DeleteModel",
        "DeleteModelPackage",
        "DeleteModelPackageGroup",
        "DeleteTags",
        "DeleteTrainingJob",
        "DescribeEndpoint",
        "DescribeEndpointConfig",
        "DescribeModel",
        "DescribeModelPackage",
        "DescribeModelPackageGroup",
        "DescribeTrainingJob",
        "ListEndpointConfigs",
        "ListEndpoints",
        "ListModelPackageGroups",
        "ListModels",
        "ListTags",
        "Search",
        "StopTrainingJob",
        "UpdateEndpoint",
        "UpdateEndpointWeightsAndCapacities",
        "UpdateModelPackage",
    ),
    "sagemaker-runtime": ("InvokeEndpoint", "InvokeEndpointAsync"),
    "application-autoscaling": (
        "DeleteScalingPolicy",
        "DeregisterScalableTarget",
        "DescribeScalableTargets",
        "DescribeScalingPolicies",
        "PutScalingPolicy",
        "RegisterScalableTarget",
    ),
    "cloudwatch": ("DeleteAlarms", "DescribeAlarms", "GetMetricData", "PutMetricAlarm"),
    "logs": ("FilterLogEvents",),
}
TYPES = {
    "string": "string",
    "character": "string",
    "timestamp": "string",  # ISO 8601; botocore reads it
    "blob": "string",  # base64, as requests travel as JSON
    "boolean": "boolean",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
}
CLASSES = {  # inside brackets; Python's `re` does not know them
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
}
PATTERNS = {  # whole patterns that need a hand
    r"\p{ASCII}*": r"[\x00-\x7f]*",
    r"\p{Print}+": r"[ -~]+",
    r"\A\S[\p{Print}]*\z": r"[!-~][ -~]*",
    r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*": r"[^\x00-\x08\x0b\x0c\x0e-\x1f]*",
}
UNTRANSLATED = re.compile(r"\\p\{[MPS]\}")  # marks, punctuation, symbols: such patterns allow all but controls
MALFORMED = re.compile(r"\$\{1,\d+\}$")  # how two patterns of SageMaker's end

ACCELERATORS = {"A10G": "a10", "A100": "a100", "K80": "k80", "M60": "m60"}  # others: the vendor's name in lower case
MIB_PER_GIB = 1024


def main() -> None:
    """Write the files; with `--check` compare them and say which is stale."""
    made = {SCHEMA: schema(), MACHINES: machines(), IMAGES: images()}
    if "--check" in sys.argv[1:]:
        stale = [str(path) for path, text in made.items() if not path.is_file() or path.read_text() != text]
        sys.exit(f"{', '.join(stale)}: stale; run python tools/schemas/aws.py" if stale else 0)
    for path, text in made.items():
        path.write_text(text)


def schema() -> str:
    """Service -> operations and shapes, as JSON Schema."""
    services = {service: _service(service, names) for service, names in OPERATIONS.items()}
    return _dumps({"source": f"botocore {version('botocore')}", "services": services})


def machines() -> str:
    """Name -> vCPU, GiB, accelerator and how many of them, local disks, architecture, and what it may be used for."""
    known = _instance_types()
    uses = {"training": "TrainingInstanceType", "hosting": "ProductionVariantInstanceType"}
    shapes = _load("sagemaker")["shapes"]
    offered = {use: set(shapes[name]["enum"]) for use, name in uses.items()}
    rows = {}
    for name in sorted(set().union(*offered.values())):
        instance = known.get(name.removeprefix("ml."))
        if instance is not None:
            rows[name] = {**_machine(instance), "uses": sorted(use for use, names in offered.items() if name in names)}
    source = f"botocore {version('botocore')}, moto {version('moto')}"
    return _rows({"source": source, "machines": rows}, "machines")


def images() -> str:
    """Python -> the newest framework image for training that has it; region -> the account that publishes it."""
    table = json.loads((_package("sagemaker.core") / "image_uri_config" / "pytorch.json").read_text())["training"]
    found: dict[str, Any] = {}
    for release, about in sorted(table["versions"].items(), key=lambda item: _numbers(item[0])):
        for python in about["py_versions"]:
            if python.startswith("py3") and len(python) > len("py3"):
                found[f"3.{python.removeprefix('py3')}"] = {
                    "repository": about["repository"],
                    "tag": f"{release}-{{processor}}-{python}",
                    "registries": about["registries"],
                }
    registries = {python: image.pop("registries") for python, image in found.items()}
    newest = max(found, key=_numbers)
    source = f"sagemaker-core {version('sagemaker-core')}, pytorch.json"
    return _rows({"source": source, "images": found, "registries": registries[newest]}, "images")


def _service(service: str, names: tuple[str, ...]) -> dict[str, Any]:
    description = _load(service)
    definitions: dict[str, Any] = {}
    operations = {}
    for name in sorted(names):
        shape = description["operations"][name].get("input", {}).get("shape")
        if shape:
            _define(shape, description["shapes"], definitions)
            operations[name] = {"$ref": f"#/$defs/{shape}"}
        else:
            operations[name] = {"type": "object", "additionalProperties": False}
    return {"operations": operations, "$defs": dict(sorted(definitions.items()))}


def _define(name: str, shapes: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Put a shape and all that it refers to among the definitions."""
    if name in definitions:
        return
    definitions[name] = {}
    shape = shapes[name]
    definitions[name] = _SHAPES.get(shape["type"], _scalar)(shape)
    for other in _references(shape):
        _define(other, shapes, definitions)


def _references(shape: dict[str, Any]) -> list[str]:
    members = [member["shape"] for member in shape.get("members", {}).values()]
    return members + [shape[part]["shape"] for part in ("member", "key", "value") if part in shape]


def _structure(shape: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _reference(member) for name, member in shape["members"].items()}
    required = {"required": shape["required"]} if shape.get("required") else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **required}


def _list(shape: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": _reference(shape["member"]), **_bounds(shape, "minItems", "maxItems")}


def _map(shape: dict[str, Any]) -> dict[str, Any]:
    names = {"propertyNames": _reference(shape["key"]), "additionalProperties": _reference(shape["value"])}
    return {"type": "object", **names, **_bounds(shape, "minProperties", "maxProperties")}


def _scalar(shape: dict[str, Any]) -> dict[str, Any]:
    kind = TYPES[shape["type"]]
    if "enum" in shape:
        return {"type": kind, "enum": shape["enum"]}
    if kind == "string":
        return {"type": kind, **_bounds(shape, "minLength", "maxLength"), **_pattern(shape.get("pattern"))}
    return {"type": kind, **_bounds(shape, "minimum", "maximum")}


_SHAPES = {"structure": _structure, "list": _list, "map": _map}


def _pattern(pattern: str | None) -> dict[str, str]:
    """A pattern as Python's `re` reads it, for the whole text."""
    if pattern is None or pattern == r"[\S\s]*" or UNTRANSLATED.search(pattern):
        return {}
    pattern = PATTERNS.get(pattern, pattern)
    for theirs, ours in CLASSES.items():
        pattern = pattern.replace(theirs, ours)
    pattern = MALFORMED.sub("", pattern)
    re.compile(pattern)
    return {"pattern": f"^(?:{pattern})$"}


def _bounds(shape: dict[str, Any], least: str, most: str) -> dict[str, Any]:
    bounds = {least: shape.get("min"), most: shape.get("max")}
    return {name: bound for name, bound in bounds.items() if bound is not None and (name != least or bound > 0)}


def _reference(member: dict[str, Any]) -> dict[str, str]:
    return {"$ref": f"#/$defs/{member['shape']}"}


def _machine(instance: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cpu": instance["VCpuInfo"]["DefaultVCpus"],
        "memory": instance["MemoryInfo"]["SizeInMiB"] / MIB_PER_GIB,
        "architecture": instance["ProcessorInfo"]["SupportedArchitectures"][-1],
    }
    if instance.get("InstanceStorageSupported"):
        row["local_disk"] = True
    gpus = instance.get("GpuInfo", {}).get("Gpus") or instance.get("NeuronInfo", {}).get("NeuronDevices") or []
    if gpus:
        gpu = gpus[0]
        row["accelerator"] = _accelerator(gpu["Name"], gpu["MemoryInfo"]["SizeInMiB"])
        row["accelerators"] = gpu["Count"]
    return row


def _accelerator(name: str, memory: int) -> str:
    kind = ACCELERATORS.get(name, name.lower().replace(" ", "-"))
    return f"{kind}-{round(memory / MIB_PER_GIB)}gb" if kind == "a100" else kind


def _instance_types() -> dict[str, Any]:
    path = _package("moto") / "ec2" / "resources" / "instance_types.json"
    found: dict[str, Any] = (
        json.loads(path.read_bytes())
        if path.is_file()
        else json.loads(gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes()))
    )
    return found


def _load(service: str) -> dict[str, Any]:
    from botocore.loaders import Loader  # noqa: PLC0415  only where a file is made anew

    description: dict[str, Any] = Loader().load_service_model(service, "service-2")
    return description


def _package(name: str) -> Path:
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        sys.exit(f"{name} is not installed")
    return Path(found.submodule_search_locations[0])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _dumps(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":")) + "\n"


def _rows(document: dict[str, Any], table: str) -> str:
    """JSON with a line for each row of its table, so that people can read and compare it."""
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in document[table].items())
    rest = {name: part for name, part in document.items() if name != table}
    head = "".join(f" {json.dumps(name)}: {json.dumps(part)},\n" for name, part in rest.items())
    return f"{{\n{head} {json.dumps(table)}: {{\n{rows}\n }}\n}}\n"


if __name__ == "__main__":
    main()
