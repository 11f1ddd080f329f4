"""Fixtures of the acceptance tests: what the fault tests use."""

from __future__ import annotations

from tests.faults.conftest import lab
from tests.sshd import fleet

__all__ = ["fleet", "lab"]
