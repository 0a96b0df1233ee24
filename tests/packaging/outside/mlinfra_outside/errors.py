from mlinfra_local.errors import *  # noqa: F403  the same under another name
