from mlinfra_local.render.jobs import *  # noqa: F403  the same under another name
