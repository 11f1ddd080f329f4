"""How we reach a machine: list its jobs, read files at an offset. One small interface, whatever is behind it."""
