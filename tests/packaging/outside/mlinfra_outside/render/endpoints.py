from mlinfra_local.render.endpoints import *  # noqa: F403  the same under another name
