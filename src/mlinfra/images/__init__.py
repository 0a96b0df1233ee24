"""Container images without Docker: layers appended to a base image, straight in a registry.

`build.py` puts a serving or a runner image together, `registry.py` speaks the distribution protocol, `layer.py` and
`assemble.py` are the pure part: the same inputs give the same bytes, wherever and whenever they are put together.
"""
