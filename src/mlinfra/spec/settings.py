"""`--set a.b=c`: one value from the command line, read by the type of the field that it is for."""

from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from mlinfra.errors import Problem
from mlinfra.spec.findings import Finding, Loc
from mlinfra.spec.load.compose import compose
from mlinfra.spec.load.resolve import resolve
from mlinfra.spec.merge import merge
from mlinfra.spec.problems import problem, spec_error
from mlinfra.spec.spec import Spec
from mlinfra.spec.walk import annotation_at
from mlinfra.spec.words import unknown_key

_Spec = TypeVar("_Spec", bound=Spec)
