"""Extract `adapters/mlinfra_local/schema.json` from the host's own description of its operations."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mlinfra.host.api import OPERATIONS

TARGET = Path(__file__).parents[2] / "adapters" / "mlinfra_local" / "schema.json"


def extract() -> str:
    """The document as it should stand in the adapter."""
    operations = {name: operation.request.model_json_schema() for name, operation in sorted(OPERATIONS.items())}
    return json.dumps({"source": "mlinfra.host.api", "operations": operations}, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write the file; with `--check` compare it and say whether it is as it should be."""
    if "--check" in sys.argv[1:]:
        sys.exit(0 if TARGET.read_text() == extract() else f"{TARGET} is stale: run python tools/schemas/local.py")
    TARGET.write_text(extract())


if __name__ == "__main__":
    main()
