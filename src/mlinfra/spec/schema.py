"""The JSON Schema of spec files, for editors. The loader knows more: references, sums, paths."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from mlinfra.spec.base import plain
from mlinfra.spec.kinds import known_kinds, model_of
from mlinfra.spec.spec import VERSION


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        return plain(dft)


def json_schema() -> JsonSchemaValue:
    """One schema that takes a document of any kind."""
    models = {kind: model_of(kind) for kind in known_kinds()}
    names, schema = models_json_schema(
        [(model, "validation") for model in models.values()], schema_generator=_Generator
    )
    definitions = schema["$defs"]
    for kind, model in models.items():
        reference = names[model, "validation"]["$ref"]
        _add_header(definitions[reference.removeprefix("#/$defs/")], kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlinfra spec",
        "oneOf": [names[model, "validation"] for model in models.values()],
        "$defs": definitions,
    }


def _add_header(definition: dict[str, Any], kind: str) -> None:
    header = {
        "version": {"const": VERSION, "description": "The version of the format; in a file's first document."},
        "kind": {"const": kind, "description": "What the document describes."},
    }
    definition["properties"] = header | definition["properties"]
    definition["required"] = ["kind", *definition.get("required", [])]
