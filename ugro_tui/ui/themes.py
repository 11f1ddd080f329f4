"""The themes: dark, light, of high contrast, and one whose colours differ for people who see red and green alike."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

from ugro_tui.core.theme_names import THEMES

_DARK = Theme(
    name="ugro-dark",
    primary="#0178d4", secondary="#004578", accent="#ffa62b",
    warning="#ffa62b", error="#ba3c5b", success="#4ebf71", foreground="#e0e0e0",
)  # fmt: skip

_LIGHT = Theme(
    name="ugro-light",
    primary="#0550ae", secondary="#0a3069", accent="#7a2ff0",
    warning="#7d4e00", error="#b3002d", success="#116329", foreground="#1f2328",
    background="#f6f8fa", surface="#ffffff", panel="#e6ebf0", dark=False,
    variables={"text-muted": "#57606a", "footer-key-foreground": "#0550ae"},
)  # fmt: skip

_CONTRAST = Theme(
    name="ugro-contrast",
    primary="#66b3ff", secondary="#66b3ff", accent="#ffff00",
    warning="#ffd24d", error="#ff9c9c", success="#5cff8d", foreground="#ffffff",
    background="#000000", surface="#000000", panel="#1c1c1c",
    variables={"text-muted": "#d0d0d0", "footer-key-foreground": "#ffff00"},
)  # fmt: skip

# Okabe and Ito, "Color Universal Design" (2008): sky blue, yellow, vermilion, reddish purple.
_COLOUR_BLIND = Theme(
    name="ugro-colour-blind",
    primary="#0072b2", secondary="#0072b2", accent="#cc79a7",
    warning="#f0e442", error="#d55e00", success="#56b4e9", foreground="#e6e6e6",
    background="#0c0c0c", surface="#121212", panel="#181818",
    variables={"text-muted": "#a8a8a8", "footer-key-foreground": "#f0e442"},
)  # fmt: skip

BY_NAME: Final = dict(zip(THEMES, (_DARK, _LIGHT, _CONTRAST, _COLOUR_BLIND), strict=True))
"""The themes by the names that people type."""
