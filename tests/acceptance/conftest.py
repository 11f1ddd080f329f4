"""Fixtures of the acceptance tests: what the fault tests use, hosts of their own, and a real terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import lab
from tests.hosts import hosts
from tests.sshd import fleet
from tests.ui.terminals import Terminal
from tests.writing import clean_environment

__all__ = ["fleet", "hosts", "lab"]

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def tty(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal of 120x40, its home the test's directory."""
    folder = tmp_path / "terminal"
    folder.mkdir()
    made = Terminal(folder, 120, 40, **clean_environment(tmp_path, PYTHONPATH=str(REPOSITORY)))
    yield made
    made.close()
