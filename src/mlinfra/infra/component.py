"""What every component of the kit is built on, so that children, names, options and tags are the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pulumi
from pulumi import ComponentResource, ResourceOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Input, Inputs, Output

    from mlinfra.infra.configuration import Configuration


class _Adoptable(Protocol):
    """A resource class of a provider package, as far as adopting needs it."""

    @staticmethod
    def get(resource_name: str, id: Input[str], opts: ResourceOptions | None = None) -> Any:  # noqa: A002  the packages' word
        """The resource of that id, read and never changed."""


Found = TypeVar("Found")


class Component(ComponentResource):
    """Several resources that belong together, or one with a decision in it.

    `kind` is `<platform>:<Class>`; the type token becomes `mlinfra:<platform>:<Class>`. Children are made with
    `options=self.child()` and named by `self.named("…")`; the last statement of a constructor is `self.finish(…)`.
    """

    def __init__(
        self, kind: str, name: str, configuration: Configuration, options: ResourceOptions | None = None
    ) -> None:
        """Register the component. Its children come after."""
        super().__init__(f"mlinfra:{kind}", name, None, options)
        self.name = name
        self.configuration = configuration
        self.profile = configuration.profile
        self.tags: Mapping[str, str] = configuration.all_tags
        self._options = options or ResourceOptions()

    def named(self, suffix: str) -> str:
        """The logical name of a child: the component's own, then the suffix."""
        return f"{self.name}-{suffix}"

    def child(self, options: ResourceOptions | None = None) -> ResourceOptions:
        """Options of a child: this parent, what the component was given, then `options`.

        Provider, protection and transforms reach children by the engine itself; these the engine leaves behind.
        """
        inherited = ResourceOptions(
            parent=self,
            depends_on=self._options.depends_on,
            retain_on_delete=self._options.retain_on_delete,
            custom_timeouts=self._options.custom_timeouts,
        )
        return ResourceOptions.merge(inherited, options)

    def guarded(self, options: ResourceOptions | None = None) -> ResourceOptions:
        """Options of a child that holds what cannot be made again: protected where the stage says so."""
        protect = True if self.profile.deletion_protection else None
        return ResourceOptions.merge(self.child(ResourceOptions(protect=protect)), options)

    def adopted(self, kind: type[Found], suffix: str, id: Input[str]) -> Found:  # noqa: A002  the packages' word
        """A resource that exists already: read, used, never changed and never destroyed.

        Its id is the one that is given: an engine older than the package leaves it unknown in previews.
        """
        adoptable: _Adoptable = kind  # type: ignore[assignment]  # every generated class has `get`; no base class says so
        found: Found = adoptable.get(self.named(suffix), id, opts=ResourceOptions.merge(self.child(), _UNPROTECTED))
        vars(found)["id"] = text(id)
        return found

    def finish(self, **outputs: Input[Any]) -> None:
        """Say that the component is whole, and which outputs it has. The last statement of a constructor."""
        given: Inputs = outputs
        self.register_outputs(given)


_UNPROTECTED = ResourceOptions(protect=False)  # nothing would be destroyed, and forgetting it must be possible


def text(value: Input[str]) -> Output[str]:
    """An input as an output, for `apply` and `concat`."""
    return pulumi.Output.from_input(value)
