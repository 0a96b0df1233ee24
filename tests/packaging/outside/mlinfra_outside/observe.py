from mlinfra_local.observe import *  # noqa: F403  the same under another name
