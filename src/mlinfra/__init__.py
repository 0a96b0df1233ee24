"""The public names, lazily.

Importable with the standard library alone and on Python 3.9, since this file also travels inside the
code bundle and runs beside a user's training script.
"""

from __future__ import annotations

__version__ = "0.1.0"
