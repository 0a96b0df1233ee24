"""Other ways to serve than by machines that stand by: serverless, and asynchronously through the store.

Both hold one deployment. A new version takes its place whole, as the platform does it, and nobody but the model's
stored example asks it first.
"""

from pydantic import Field

from mlinfra.spec.base import Model
from mlinfra.spec.quantities import Size


class Serverless(Model):
    """Servers that the platform starts when somebody asks, and ends when nobody does."""

    memory: Size = Field(description="Main memory of one server.")
    concurrency: int = Field(ge=1, le=1_000, description="Requests under way at once; more are refused for a while.")


class Asynchronous(Model):
    """Requests that wait in a queue; inputs and answers lie in the environment's store."""

    concurrency: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="Requests that one replica answers at once. Without it the platform's.",
    )
