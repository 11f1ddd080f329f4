"""The versions that a reader of the files may ask for."""

__version__ = "0.1.0"

PROTOCOL_VERSION = 1
"""The `v` of every record and heartbeat (PROTOCOL.md)."""
