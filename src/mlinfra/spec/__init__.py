"""What the user writes: jobs, models and endpoints, from files or from Python, as the same frozen models.

Names are imported when they are asked for, so that a command that reads no spec pays for none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlinfra.spec.advice import warnings as warnings
    from mlinfra.spec.code import GitSource as GitSource
    from mlinfra.spec.code import Python as Python
