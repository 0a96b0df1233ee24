"""Container registries, as far as the environments that jobs and deployments run in name their images."""
