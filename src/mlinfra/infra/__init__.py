"""Pulumi components from which stacks, and anybody's own program, stand an environment up.

`configuration` and `stages` say what is wanted, `component` is what every component is built on, `environment`
exports the one document that adapters read. `local`, `aws`, `azure` and `gcp` hold the components, `automation` runs
the engine.
"""
