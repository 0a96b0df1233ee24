"""What an adapter promises: the only words that the engine and a platform exchange.

Import from the modules of this room; this file imports none of them, so that `--help` stays quick.
"""
