"""`mlinfra`: the table of commands, each named here and imported when it runs."""

from __future__ import annotations

import click

from mlinfra import __version__
from mlinfra.cli.commands import Family, Member

EXIT_CODES = """\
\b
Exit codes:
  0    done
  1    a job or deployment failed, an endpoint answered with an error, bytes are not what was promised
  2    wrong usage or file, something the platform cannot do, input that the model's schema refuses
  3    not permitted, or the credentials belong to another account
  4    not found
  5    it exists and differs, or somebody else is at work on it
  6    rolled back: the old version serves
  70   a fault of the kit; please report it
  75   temporary: run the same command again
  130  interrupted; what was begun goes on
"""

MEMBERS = {
    "apply": Member("mlinfra.cli.apply:apply", "Do what files say, in the order in which it depends."),
    "plan": Member("mlinfra.cli.plan:plan", "Show what files would lead to; send nothing."),
    "init": Member("mlinfra.cli.init:init", "Write a small project to begin with."),
    "demo": Member("mlinfra.cli.demo:demo", "Train, register, deploy, replace and roll back a credit model here."),
    "recover": Member("mlinfra.cli.recover:recover", "Settle what a crash left open and do what is due."),
    "env": Member("mlinfra.cli.env:env", "Environments: named places to run things."),
    "job": Member("mlinfra.cli.job:job", "Jobs: training and processing runs."),
    "model": Member("mlinfra.cli.model:model", "Models: the registry and its versions."),
    "endpoint": Member("mlinfra.cli.endpoint:endpoint", "Endpoints: model versions that answer."),
    "store": Member("mlinfra.cli.store:store", "The environment's object store."),
    "image": Member(
        "mlinfra.cli.image:image", "Container images: put together from a base and the kit, without Docker."
    ),
    "spec": Member("mlinfra.cli.spec:spec", "Files: check them, explain their fields."),
    "emulator": Member("mlinfra.cli.emulator:emulator", "Clouds on this machine: their protocols, without an account."),
    "completion": Member("mlinfra.cli.completion:completion", "Print what makes a shell complete commands."),
}


@click.group(cls=Family, members=MEMBERS, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="mlinfra", message="%(prog)s %(version)s")
def root() -> None:
    """Train, register and serve models on SageMaker, Azure ML, Vertex AI or this machine, from one file."""
