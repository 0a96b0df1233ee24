"""The proof that nothing leaves this machine: `python -m mlinfra.emulator.egress [--plant] [--report FILE] -- COMMAND`.

Runs a command in a network of its own, with real-looking credentials of every vendor lying about if asked to, and
counts the packets that would have left. Ends with the command's exit code where there was none, else with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.emulator import namespace
from mlinfra.emulator.bait import plant
from mlinfra.errors import MlinfraError

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFUSED = 70
_MOST_TOLD = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; 70 where this machine refuses such a network."""
    parser = argparse.ArgumentParser(prog="python -m mlinfra.emulator.egress", description=__doc__)
    parser.add_argument("--plant", action="store_true", help="let real-looking credentials lie about")
    parser.add_argument("--report", type=Path, help="file for {exit_code, packets, destinations} as JSON")
    parser.add_argument("command", nargs="+", help="what to run, after --")
    given = parser.parse_args(arguments)
    try:
        outside = namespace.enter()
    except MlinfraError as exc:
        sys.stderr.write(f"egress: {exc}\n")
        return _REFUSED
    with tempfile.TemporaryDirectory(prefix="mlinfra-egress-") as home:
        environment = {**os.environ, **(plant(Path(home), os.environ) if given.plant else {})}
        code = subprocess.run(given.command, env=environment, check=False).returncode
    packets = outside.close()
    destinations = Counter(map(str, packets))
    if given.report:
        document = {"exit_code": code, "packets": len(packets), "destinations": dict(destinations)}
        given.report.write_text(json.dumps(document, indent=2) + "\n")
    told = ", ".join(f"{place} ({count})" for place, count in destinations.most_common(_MOST_TOLD))
    sys.stderr.write(f"egress: {len(packets)} packets beyond loopback{': ' + told if told else ''}\n")
    return code or int(bool(packets))


if __name__ == "__main__":
    sys.exit(main())
