"""Fixtures of the nodes' tests."""

from __future__ import annotations

from tests.sshd import fleet, shared_fleet

__all__ = ["fleet", "shared_fleet"]
