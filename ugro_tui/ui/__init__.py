"""How we show it: Textual screens and widgets. Sees the world through `core.ports.Feed` alone."""
