"""ugro-tui: watch, explain and steer distributed PyTorch training from one terminal."""

__version__ = "0.1.0"
