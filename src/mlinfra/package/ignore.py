"""Which files below a code folder stay at home: secrets first, then what the kit, the user and version control name.

A pattern in .mlinfraignore or .gitignore can leave more out; nothing brings a file of the tables below back in.
"""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.package.vcs import VersionControl, read_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRETS = (
    ".env*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.ppk",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "gha-creds-*.json",  # written into the workspace by the login step of GitHub's workflows
    "credentials",
    "credentials*.json",
    "*[-_]credentials.json",
    "client_secret*.json",
    "service[-_]account*.json",
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".pypirc",
    ".npmrc",
    ".pgpass",
    ".htpasswd",
    ".dockercfg",
    "kubeconfig",
    "*.kubeconfig",
    "*.tfstate*",
    ".aws",
    ".azure",
    ".gcloud",
    ".gnupg",
    ".kube",
    ".ssh",
)
CLUTTER = (
    ".git",
    ".hg",
    ".svn",
    ".mlinfra",
    ".venv",
    "__pycache__",
    "*.pyc",
    ".DS_Store",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
)
OWN_FILE = ".mlinfraignore"

_IS_SECRET = re.compile("|".join(map(fnmatch.translate, SECRETS)), re.IGNORECASE)
_IS_CLUTTER = re.compile("|".join(map(fnmatch.translate, CLUTTER)))


class Ignore:
    """Decides, for one code folder, what does not travel. Give it to `walk`.

    `exclude` names files and folders, absolute or from `root`, that travel another way: a job's inputs and outputs.
    `withheld` collects the paths that were left out because their names are those of secrets.
    """

    def __init__(self, root: Path, exclude: Iterable[Path] = ()) -> None:
        self.withheld: list[str] = []
        self._top = root.resolve()
        self._excluded = {inside for path in exclude for inside in _inside(root, path)}
        self._own = read_patterns(self._top / OWN_FILE)
        self._version_control = VersionControl(self._top)

    def __call__(self, path: str, folder: bool) -> bool:  # noqa: FBT001  the shape that `walk` asks for
        """Leave this path out, and with a folder everything in it?"""
        name = path.rpartition("/")[2]
        if _IS_SECRET.match(name):
            self.withheld.append(path)
            return True
        return (
            _IS_CLUTTER.match(name) is not None
            or path in self._excluded
            or (folder and (self._top / path / "pyvenv.cfg").exists())
            or (self._own is not None and bool(self._own.check_file(f"{path}/" if folder else path).include))
            or self._version_control.ignores(path, folder=folder)
        )


def _inside(root: Path, path: Path) -> set[str]:
    """`path` from `root` with slashes, as it is written and where its links lead; nothing where it lies elsewhere."""
    written = Path(os.path.normpath(root.absolute() / path))
    pairs = ((Path(os.path.normpath(root.absolute())), written), (root.resolve(), written.resolve()))
    return {place.relative_to(top).as_posix() for top, place in pairs if place != top and place.is_relative_to(top)}
