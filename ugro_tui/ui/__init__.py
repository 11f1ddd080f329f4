"""How we show it: Textual screens and widgets. Sees the world through `core.ports.Feed` alone."""

from __future__ import annotations

import os
from typing import Final

PAINTS: Final = 120
"""How often a second Textual may paint, at the most: half of the time from a key to its effect is waiting for that."""

os.environ.setdefault("TEXTUAL_FPS", str(PAINTS))  # read once, when Textual is imported
