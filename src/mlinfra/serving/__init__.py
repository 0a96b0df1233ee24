"""The model server: one process, one port, the contracts of three clouds and the Open Inference Protocol.

Start it with `python -m mlinfra.serving --model FOLDER`. It needs the extra `serving`.
"""
