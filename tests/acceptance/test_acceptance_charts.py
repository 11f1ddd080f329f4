"""No chart fails: 2,000 of what no run should record, in all sizes. `UGRO_TUI_RUNS` gives hundreds of them (20)."""

from __future__ import annotations

import os

import pytest

from tests.ui.charting import fuzz

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

HUNDREDS = range(int(os.environ.get("UGRO_TUI_RUNS", "20")))


@pytest.mark.parametrize("hundred", HUNDREDS)
async def test_no_chart_fails(hundred: int) -> None:
    assert await fuzz(100, seed=1_000 + hundred) > 20
