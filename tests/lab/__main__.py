"""`python3 -m lab` (with `tests` on the path)."""

from __future__ import annotations

import sys

from lab.cli import main

sys.exit(main())
