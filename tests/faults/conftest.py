"""Fixtures of the fault tests: real sshd machines, and applications that watch them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import Lab
from tests.sshd import Fleet, fleet

__all__ = ["fleet"]


@pytest.fixture
def lab(fleet: Fleet, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(fleet, tmp_path)
    yield made
    made.release()
