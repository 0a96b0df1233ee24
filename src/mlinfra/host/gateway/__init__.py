"""The process in front of an endpoint's deployments: `python -m mlinfra.host.gateway ROOT ENDPOINT`."""
