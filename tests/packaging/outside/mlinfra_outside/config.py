from mlinfra_local.config import *  # noqa: F403  the same under another name
