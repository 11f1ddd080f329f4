"""The whole screen of a job over thousands of ranks, each second a new picture: what a refresh costs, against few."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import numpy as np
import pytest

from tests.ui.scenes import PLACE, FakeFeed, Record, Run, job, snapshot
from ugro_tui.core.columns import Column
from ugro_tui.core.snapshot import JobView, RankColumns, Snapshot
from ugro_tui.ui.app import UgroApp

pytestmark = pytest.mark.bench

FEW, MANY = 64, 8_192
SIZE = (160, 50)
SECONDS = 30
CURVE_SECONDS = 3
"""How often the curve is another one, as the keeper draws it."""

ROUNDS = 3


def picture(ranks: int) -> Snapshot:
    """Ranks in which one is slow in a phase, so that every pane has something to say."""
    slow: Record = {"phases": {"data": 0.2, "forward": 0.07, "backward": 0.14, "sync_wait": 0.0, "optimizer": 0.01}}
    return snapshot(job(Run("large", ranks=ranks, steps=40, odd={(5, 40): slow})))


def a_second_later(before: Snapshot) -> Snapshot:
    """All ranks one step further: every column is another object, the curve now and then."""
    version, now = before.version + 1, before.now + 1.0
    return replace(before, version=version, now=now, jobs=tuple(_further(view, version) for view in before.jobs))


def _further(view: JobView, version: int) -> JobView:
    ranks, latest = view.ranks, view.ranks.latest.copy()
    latest[:, Column.STEP] += 1
    latest[:, Column.LOSS] += 1e-3
    columns = RankColumns(
        rank=ranks.rank.copy(),
        node=(*ranks.node,),
        state=ranks.state.copy(),
        step_age=np.full(len(ranks), 0.1 * (version % 7)),
        age=np.full(len(ranks), 0.1 * (version % 7)),
        spark=np.roll(ranks.spark, 1, axis=1),
        latest=latest,
    )
    curve = replace(view.curve) if version % CURVE_SECONDS == 0 else view.curve
    summary = replace(view.summary, step=view.summary.step + 1, step_age=0.1 * (version % 7))
    return replace(view, summary=summary, ranks=columns, curve=curve)


async def refresh_seconds(first: Snapshot) -> float:
    """Mean CPU seconds of a refresh: news taken in, laid out, painted."""
    feed = FakeFeed(first)
    app = UgroApp(feed, place=PLACE, job=first.jobs[0].job_id)
    spent = []
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        for _ in range(SECONDS):
            feed.current = a_second_later(feed.current)
            begun = time.process_time()
            app.look()
            await pilot.pause()
            spent.append(time.process_time() - begun)
    return statistics.fmean(sorted(spent)[: SECONDS * 9 // 10])  # the slowest are the machine's


async def test_a_refresh_of_thousands_costs_what_one_of_tens_does() -> None:
    few, many = picture(FEW), picture(MANY)
    pairs = [(await refresh_seconds(few), await refresh_seconds(many)) for _ in range(ROUNDS)]
    small, large = (min(pair[place] for pair in pairs) for place in range(2))
    print(
        f"\nthe whole screen, a refresh: {FEW} ranks {small * 1e3:.1f} ms, {MANY:,} ranks {large * 1e3:.1f} ms of a "
        f"core (each second: {large:.1%}), ratio {large / small:.2f}"
    )
    assert large <= 1.5 * small
