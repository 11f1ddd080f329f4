"""The themes by the names that people type: in the settings, and in the palette."""

from __future__ import annotations

from typing import Final

THEMES: Final = ("dark", "light", "contrast", "colour-blind")
"""The first is what is shown where none was chosen."""
