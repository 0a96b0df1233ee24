from mlinfra_local.client import *  # noqa: F403  the same under another name
