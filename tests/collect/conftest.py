"""Fixtures of the collector's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collect.bench import Bench, Moody
from ugro_tui.nodes.local import LocalNode


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "jobs"
    root.mkdir()
    made = Bench(root)
    yield made
    for collector in made.collectors:
        collector.stop()


@pytest.fixture
def moody(bench: Bench) -> Moody:
    return Moody(LocalNode(bench.root, bench.clock.time))
