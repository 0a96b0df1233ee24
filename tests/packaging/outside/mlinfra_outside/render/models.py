from mlinfra_local.render.models import *  # noqa: F403  the same under another name
