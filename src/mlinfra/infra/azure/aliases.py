"""Which former names of a resource the engine is told: azure-native gives each one an alias for every api-version.

They help who moves from types with a version in their name (`azure-native:storage/v20230101:StorageAccount`), of which
these components never had one. Over a hundred for some resources, they made a third of a program's time
(`benchmarks/stacks.py`). Aliases without a version stay: by these a resource survives a module's new name.
"""

from __future__ import annotations

import re

from pulumi import Alias, ResourceOptions, ResourceTransformationArgs, ResourceTransformationResult

_VERSIONED = re.compile(r"azure-native:[^:]*/v\d{8}[^:]*:")


def unversioned(args: ResourceTransformationArgs) -> ResourceTransformationResult | None:
    """A transformation that leaves a resource's aliases without those that name an api-version."""
    known = args.opts.aliases
    if not known:
        return None
    kept = [alias for alias in known if not (isinstance(alias, Alias) and _is_versioned(alias))]
    options = ResourceOptions.merge(args.opts, None)
    options.aliases = kept
    return ResourceTransformationResult(args.props, options)


def _is_versioned(alias: Alias) -> bool:
    return isinstance(alias.type_, str) and _VERSIONED.match(alias.type_) is not None
