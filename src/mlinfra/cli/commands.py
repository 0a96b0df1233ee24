"""What every command has in common: the shared options, a help that ends with an example, groups that load late."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from mlinfra.cli.aliases import meant
from mlinfra.cli.context import Invocation, known_environments
from mlinfra.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
Function = TypeVar("Function", bound="Callable[..., Any]")


class Member(NamedTuple):
    """A command that is imported when it runs. `help` is its first line, told without importing it."""

    place: str  # module:attribute
    help: str


class Verb(click.Command):
    """A command. `example` is one command line that works; `prints` are the fields of its JSON document."""

    def __init__(self, *args: Any, example: str = "", prints: str = "", **kwargs: Any) -> None:
        kwargs["params"] = [*kwargs.get("params", ()), *_shared()]
        kwargs.setdefault("context_settings", SETTINGS)
        super().__init__(*args, **kwargs)
        self.example = example
        self.prints = prints

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, unless another tool of the same name got into this installation."""
        from mlinfra.cli.installation import refuse_the_other  # noqa: PLC0415  help has no use for it

        refuse_the_other()
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What `-o json` prints, and the example."""
        if self.prints:
            with formatter.section("JSON"):
                formatter.write_text(f"{{{self.prints}}}")
        if self.example:
            with formatter.section("Example"):
                formatter.write(f"  {self.example}\n")
        super().format_epilog(ctx, formatter)


class Family(click.Group):
    """A group of commands. `members` are imported when one of them runs, and named without."""

    command_class = Verb

    def __init__(self, *args: Any, members: Mapping[str, Member] | None = None, **kwargs: Any) -> None:
        kwargs["params"] = [*kwargs.get("params", ()), *_shared()]
        kwargs.setdefault("context_settings", SETTINGS)
        super().__init__(*args, **kwargs)
        self.members = dict(members or {})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """In the order of their definition."""
        return [*self.members, *self.commands]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """The command, also under one of its other names; None where there is none."""
        name = meant(name, {*self.members, *self.commands})
        if name in self.members:
            module, _, attribute = self.members[name].place.partition(":")
            loaded: click.Command = getattr(import_module(module), attribute)
            return loaded
        return self.commands.get(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was asked for.

        Raises:
            UsageError: there is none; names the nearest.
        """
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            raise _unknown(ctx, name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """The list in the help, without importing any member."""
        own = {name: command.get_short_help_str(80) for name, command in self.commands.items() if not command.hidden}
        rows = [*((name, member.help) for name, member in self.members.items()), *own.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def verb(family: Family, name: str, *, example: str, prints: str) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function a command of a group, called with the invocation and its own parameters."""

    def decorate(function: Callable[..., Any]) -> Verb:
        made = family.command(name, cls=Verb, example=example, prints=prints)(click.pass_obj(function))
        if not isinstance(made, Verb):
            raise TypeError(name)
        return made

    return decorate


def destructive(function: Function) -> Function:
    """The two words that a destructive command asks for: `--yes`, and the name of a protected environment."""
    function = click.option(
        "--confirm", metavar="NAME", help="The environment's name once more, where it is protected."
    )(function)
    return click.option("-y", "--yes", is_flag=True, show_default=False, help="Do it; without this nothing happens.")(
        function
    )


def _shared() -> list[click.Parameter]:
    """The options that every command takes, before and after its name; the last one given counts."""
    return [
        click.Option(
            ["-e", "--env", "environment"],
            metavar="NAME",
            help="Environment to work in.  [default: MLINFRA_ENV, then `env use`, then local]",
            expose_value=False,
            callback=_note,
            shell_complete=_complete_environment,
        ),
        click.Option(
            ["-o", "--output"],
            type=click.Choice(["table", "json"]),
            default="table",
            help="What stdout gets: tables for people, or one JSON document.",
            expose_value=False,
            callback=_note,
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            show_default=False,
            help="No progress on stderr; errors still.",
            expose_value=False,
            callback=_note,
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            show_default=False,
            help="Show the trace of an error.",
            expose_value=False,
            callback=_note,
        ),
    ]


def _note(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    given = option.name and ctx.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
    if given and isinstance(ctx.obj, Invocation):
        setattr(ctx.obj, str(option.name), value)


def _complete_environment(_ctx: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    return [name for name in known_environments() if name.startswith(begun)]


def _unknown(ctx: click.Context, name: str, known: list[str]) -> UsageError:
    nearest = get_close_matches(name, known, n=1, cutoff=0.5)
    path = ctx.command_path
    return UsageError(
        f"`{path}` has no command of that name",
        given=name,
        allowed=", ".join(known),
        todo=f"did you mean `{path} {nearest[0]}`?" if nearest else f"`{path} --help` tells what each does",
    )
