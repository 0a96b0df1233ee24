"""Modules that are imported when they are first used.

Training images and servers import `mlinfra.modelkit` whether they seal a model or not, and a sealed tree model answers
without numpy; so nothing here may import numpy or a model's library before it is needed.
"""

from __future__ import annotations

from importlib import import_module


class Lazy:
    """Stands for a module; importing this name costs nothing, reading an attribute imports the module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        value: object = getattr(import_module(self._name), attribute)
        setattr(self, attribute, value)  # the next look-up finds it without coming here
        return value
