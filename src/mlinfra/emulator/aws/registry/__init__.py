"""Container images, models, and model packages."""
