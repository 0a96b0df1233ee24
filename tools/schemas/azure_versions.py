"""Extract what the emulator of Azure holds requests against: the models of each api-version of Azure Machine Learning.

Source: the clients that azure-ai-ml has carried. 1.29.0 is the last release with a generated client of its own for
every api-version that MLClient speaks; the installed release has the client of 2025-12-01 alone. Both are read as
text, none of it is imported: `python tools/schemas/azure_versions.py azure_ai_ml-1.29.0-py3-none-any.whl`.
`--check` compares what is kept of the installed client with what it says now, and needs no other release.

Kept are the api-versions that the installed MLClient names, and what the emulator's own operations reach. The versions
differ little, so each fact stands once, beside the numbers of the versions in which it holds: `[fact, "3-9,12-14"]`.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from mlinfra.emulator.azure import catalogue
from mlinfra.emulator.azure.wire import schemas

ROOT = Path(__file__).parents[2]
FILE = ROOT / "src" / "mlinfra" / "emulator" / "azure" / "wire" / "models.json"
INSTALLED = "2025-12-01"
_OLD = re.compile(r"azure/ai/ml/_restclient/v(\d{4})_(\d\d)_(\d\d)(_preview)?/")
_ENUM = re.compile(r":vartype (\w+): (?:[^\n]*?or )?~[\w.]+\.models\.(\w+)\s*$", re.MULTILINE)
_NEW_SCALARS = {
    "str": "str",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "Any": "object",
    "datetime.datetime": "datetime",
    "datetime.timedelta": "duration",
    "datetime.time": "str",
    "datetime.date": "str",
    "JSON": "object",
    "None": "object",
}
_OLD_SCALARS = {
    "long": "int",
    "iso-8601": "datetime",
    "rfc-1123": "datetime",
    "date": "str",
    "time": "str",
    "decimal": "float",
    "base64": "str",
    "bytearray": "str",
    "URL": "str",
}
_LIMITS = ("pattern", "min_length", "max_length", "minimum", "maximum", "min_items", "max_items", "unique")

Members = dict[str, list[Any]]  # JSON name -> [type, flags, limits?]; flags: r required, o output only, c create only


def main(arguments: list[str]) -> int:
    """Write the file, or compare the installed client's part. The exit code."""
    installed = _installed()
    if arguments == ["--check"]:
        same = schemas.document(INSTALLED) == installed
        sys.stdout.write("" if same else f"{FILE} is not what the installed azure-ai-ml says\n")
        return int(not same)
    with zipfile.ZipFile(arguments[0]) as wheel:
        FILE.write_text(_merged({**_older(wheel), INSTALLED: installed}))
    return 0


def _older(wheel: zipfile.ZipFile) -> dict[str, Any]:
    """Api-version -> its document, of those that MLClient names."""
    names, found = wheel.namelist(), {}
    for prefix in sorted({hit[0] for name in names if (hit := _OLD.match(name))}):
        hit = _OLD.match(prefix)
        label = "-".join(hit.groups("")[:3]) + (hit[4] or "").replace("_", "-") if hit else ""
        if label not in _spoken():
            continue
        texts = [wheel.read(each).decode() for each in names if re.match(prefix + r"operations/\w+\.py", each)]
        models = wheel.read(f"{prefix}models/_models_py3.py").decode()
        named = next(each for each in names if re.match(prefix + r"models/\w+_enums\.py", each))
        found[label] = _reached(_old_operations(texts), _old_models(models), _enums(wheel.read(named).decode()))
    return found


def _spoken() -> set[str]:
    """The api-versions that the installed MLClient names."""
    text = Path(str(distribution("azure-ai-ml").locate_file("azure/ai/ml/_ml_client.py"))).read_text()
    return set(re.findall(r'api_version="([\w-]+)"', text))


def _merged(documents: dict[str, Any]) -> str:
    """All versions in one document, a model or an operation a line."""
    order = sorted(documents)
    kept: dict[str, Any] = {"operations": {}, "enums": {}}
    models: dict[str, Any] = {}
    for number, version in enumerate(order):
        for part, facts in kept.items():
            for name, fact in documents[version][part].items():
                _note(facts, name, fact, number)
        for name, model in documents[version]["models"].items():
            _note_model(models.setdefault(name, {"members": {}}), model, number)
    names = documents[INSTALLED]["names"]
    return _printed({"versions": order, **kept, "models": models, "names": names})


def _note_model(kept: dict[str, Any], model: dict[str, Any], number: int) -> None:
    for member, fact in model["members"].items():
        _note(kept["members"], member, fact, number)
    for part in {"tag", "kinds"} & set(model):
        _note(kept, part, model[part], number)


def _note(facts: dict[str, Any], name: str, fact: Any, number: int) -> None:
    """Add a version to those in which a fact holds. They come in order."""
    for told in facts.setdefault(name, []):
        if told[0] == fact:
            before, _, last = told[1].rpartition("-")
            told[1] = f"{before}-{number}" if int(last) == number - 1 else f"{told[1]},{number}-{number}"
            return
    facts[name].append([fact, f"{number}-{number}"])


def _printed(whole: dict[str, Any]) -> str:
    parts = []
    for part, told in whole.items():
        if isinstance(told, dict):
            lines = (f"{json.dumps(name)}:{_compact(told[name])}" for name in sorted(told))
            parts.append(f'"{part}":{{\n' + ",\n".join(lines) + "\n}")
        else:
            parts.append(f'"{part}":{_compact(told)}')
    return "{" + ",\n".join(parts) + "}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


# What both kinds share


def _reached(operations: dict[str, str], models: dict[str, Any], enums: dict[str, list[str]]) -> dict[str, Any]:
    """The document: the emulator's operations, with the models and enumerations that their bodies reach."""
    own = {schemas.key(each.method, each.path) for each in catalogue.operations()}
    operations = {key: name for key, name in operations.items() if key in own}
    open_ends, reached, used = list(operations.values()), set(), set()
    while open_ends:
        name = open_ends.pop()
        if name in reached or name not in models:
            continue
        reached.add(name)
        model = models[name]
        open_ends += model.get("kinds", {}).values()
        for member in model["members"].values():
            core = member[0].strip("[]{}")
            open_ends.append(core)
            used.add(core)
    return {
        "operations": operations,
        "models": {name: models[name] for name in sorted(reached)},
        "enums": {name: enums[name] for name in sorted(used & set(enums))},
    }


def _enums(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            values = [each.value for each in node.body if isinstance(each, ast.Assign)]
            found[node.name] = [str(each.value) for each in values if isinstance(each, ast.Constant)]
    return found


# The installed client: fields with a visibility


def _installed() -> dict[str, Any]:
    folder = Path(str(distribution("azure-ai-ml").locate_file("azure/ai/ml/_restclient/arm_ml_service")))
    text = (folder / "operations" / "_operations.py").read_text()
    enums = _enums((folder / "models" / "_enums.py").read_text())
    models = _new_models((folder / "models" / "_models.py").read_text(), enums)
    return {**_reached(_new_operations(text), models, enums), "names": _names(text)}


def _names(text: str) -> dict[str, str]:
    """Every operation by its name, `Jobs_CreateOrUpdate`, with its method and path."""
    tree = ast.parse(text)
    paths = {node.name: _path(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    found: dict[str, str] = {}
    for group in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for function in (node for node in group.body if isinstance(node, ast.FunctionDef)):
            builders = _builders(function)
            if builders:
                bare = function.name.strip("_").removesuffix("_initial").removeprefix("begin_")
                verb = "".join(part.capitalize() for part in bare.split("_"))
                stem = group.name.removesuffix("Operations").strip("_") or "Operations"
                found[f"{stem}_{verb}"] = schemas.key(*paths[builders[0]])
    return found


def _new_operations(text: str) -> dict[str, str]:
    tree = ast.parse(text)
    paths = {node.name: _path(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    found: dict[str, str] = {}
    for group in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for function in (node for node in group.body if isinstance(node, ast.FunctionDef)):
            builders = _builders(function)
            bodies = [_model_of(argument.annotation) for argument in function.args.args if argument.annotation]
            body = next((each for each in bodies if each), "")
            if builders and body:
                found[schemas.key(*paths[builders[0]])] = body
    return found


def _model_of(annotation: ast.expr) -> str:
    """`Union[_models.JobBase, JSON, IO[bytes]]` -> JobBase."""
    hit = re.search(r"_models\.(\w+), (?:[\w.]*\.)?JSON|_models\.(\w+), IO", ast.unparse(annotation))
    return (hit[1] or hit[2]) if hit else ""


def _new_models(text: str, enums: dict[str, list[str]]) -> dict[str, Any]:
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    found: dict[str, Any] = {}
    for name in classes:
        members: Members = {}
        tag = ""
        for each in reversed(_lineage(name, classes)):
            own_tag = _new_members(classes[each], members, enums)
            tag = own_tag or tag
        found[name] = {"members": members, **({"tag": tag} if tag else {})}
    for name, node in classes.items():
        value = next((each.value for each in node.keywords if each.arg == "discriminator"), None)
        if isinstance(value, ast.Constant):
            for base in _lineage(name, classes)[1:]:
                if found[base].get("tag"):
                    found[base].setdefault("kinds", {})[value.value] = name
    return found


def _lineage(name: str, classes: dict[str, ast.ClassDef]) -> list[str]:
    """A class and its bases, the nearest first."""
    bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name) and base.id in classes]
    return [name, *(each for base in bases for each in _lineage(base, classes))]


def _new_members(node: ast.ClassDef, members: Members, enums: dict[str, list[str]]) -> str:
    """Add a class's own fields. Returns the JSON name of its discriminator, where it has one."""
    tag = ""
    for each in node.body:
        if not (isinstance(each, ast.AnnAssign) and isinstance(each.value, ast.Call)):
            continue
        maker = ast.unparse(each.value.func)
        if maker not in {"rest_field", "rest_discriminator"} or not isinstance(each.target, ast.Name):
            continue
        options = {option.arg: option.value for option in each.value.keywords}
        name = ast.literal_eval(options["name"]) if "name" in options else each.target.id
        seen = ast.literal_eval(options["visibility"]) if "visibility" in options else []
        text = ast.unparse(each.annotation).replace("'", "").replace('"', "")
        optional = text.startswith("Optional[") or "None" in text
        flags = ("o" if seen == ["read"] else "") + ("c" if seen == ["read", "create"] else "")
        flags += "" if optional or "o" in flags else "r"
        if maker == "rest_discriminator":
            tag, flags = name, "r"
        members[name] = [_new_type(text, enums), flags]
    return tag


def _new_type(text: str, enums: dict[str, list[str]]) -> str:
    while (inner := re.fullmatch(r"Optional\[(.*)\]", text)) is not None:
        text = inner[1]
    if (inner := re.fullmatch(r"(?:dict|Dict)\[str, (.*)\]", text)) is not None:
        return "{" + _new_type(inner[1], enums) + "}"
    if (inner := re.fullmatch(r"(?:list|List)\[(.*)\]", text)) is not None:
        return f"[{_new_type(inner[1], enums)}]"
    if (inner := re.fullmatch(r"Union\[str, _models\.(\w+)\]", text)) is not None:
        return inner[1]
    if (inner := re.fullmatch(r"Literal\[(\w+)\.\w+\]", text)) is not None:
        return inner[1] if inner[1] in enums else "str"
    if text.startswith("Literal["):
        return "str"
    return _NEW_SCALARS.get(text) or text.removeprefix("_models.")


# The older clients: attribute maps


def _old_operations(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        tree = ast.parse(text)
        paths = {node.name: _path(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
        for group in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            for function in (node for node in group.body if isinstance(node, ast.FunctionDef)):
                builders, bodies = _builders(function), _serialized(function)
                if builders and bodies:
                    found[schemas.key(*paths[builders[0]])] = bodies[0]
    return found


def _builders(function: ast.FunctionDef) -> list[str]:
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return [each.id for each in calls if isinstance(each, ast.Name) and each.id.startswith("build_")]


def _serialized(function: ast.FunctionDef) -> list[str]:
    return [
        str(node.args[1].value)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "self._serialize.body"
        and isinstance(node.args[1], ast.Constant)
    ]


def _path(builder: ast.FunctionDef) -> tuple[str, str]:
    texts = [node.value for node in ast.walk(builder) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    path = next((each for each in texts if each.startswith("/")), "")
    method = next((each for each in texts if each in {"GET", "PUT", "PATCH", "POST", "DELETE", "HEAD"}), "")
    return method, path


def _old_models(text: str) -> dict[str, Any]:
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    found: dict[str, Any] = {}
    for name, node in classes.items():
        told = {
            each.targets[0].id: ast.literal_eval(each.value)
            for each in node.body
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        }
        if "_attribute_map" not in told:
            continue
        _add_old(name, node, told, found)
    return found


def _add_old(name: str, node: ast.ClassDef, told: dict[str, Any], found: dict[str, Any]) -> None:
    named = dict(_ENUM.findall(ast.get_docstring(node) or ""))
    model: dict[str, Any] = {"members": {}}
    found[name] = model
    rules = told.get("_validation", {})
    for attribute, entry in told["_attribute_map"].items():
        rule = rules.get(attribute, {})
        flags = ("o" if rule.get("readonly") else "") + (
            "r" if rule.get("required") and not rule.get("readonly") else ""
        )
        kind = _old_type(entry["type"], named.get(attribute, ""))
        limits = {key: value for key, value in rule.items() if key in _LIMITS}
        member = [kind, flags, limits] if limits else [kind, flags]
        holder, last = _holder(name, entry["key"], found)
        holder["members"][last] = member
        if "_subtype_map" in told and attribute in told["_subtype_map"]:
            model["tag"] = last
            model["kinds"] = told["_subtype_map"][attribute]


def _holder(name: str, key: str, found: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The model that a member lies in, and its name there: `properties.x` lies in one that has no name of its own."""
    parts = re.split(r"(?<!\\)\.", key)
    at = name
    for part in parts[:-1]:
        inner = f"{at}.{part}"
        found[at]["members"].setdefault(part, [inner, ""])
        found.setdefault(inner, {"members": {}})
        at = inner
    return found[at], parts[-1].replace("\\.", ".")


def _old_type(text: str, named: str) -> str:
    if text.startswith(("{", "[")):
        inner = _old_type(text[1:-1], named if text[1:-1] == "str" else "")
        return f"{text[0]}{inner}{text[-1]}"
    if text == "str" and named:
        return named
    return _OLD_SCALARS.get(text, text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
