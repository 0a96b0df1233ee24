"""`python -m mlinfra.serving`."""

from __future__ import annotations

import sys

from mlinfra.serving.main import main

sys.exit(main())
