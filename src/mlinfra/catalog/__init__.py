"""What the platforms offer: machine types, framework images, permissions. Data made by `tools/schemas`, and look-ups.

Import from the modules of this room; this file imports none of them.
"""
