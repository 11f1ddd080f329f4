"""What ranks are filtered and sorted by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ui.scenes import Run, job, snapshot
from ugro_tui.core.columns import Column
from ugro_tui.core.filters import Filter, parse
from ugro_tui.core.ordering import Sort, arranged
from ugro_tui.core.rank_fields import RANK_FIELDS, WORST_FIRST, lag, rank_values, trouble
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.core.states import RankState

NAN = float("nan")
STATES = [RankState[word] for word in ("RUNNING", "STALLED", "DEAD", "RUNNING", "STALLED", "FINISHED")]


@pytest.fixture(scope="module")
def ranks() -> RankColumns:
    """Six ranks of two nodes: 1, 2 and 4 in trouble, 3 without a number for a loss, 5 before its first step."""
    found = snapshot(job(Run(ranks=6, steps=20, hosts=lambda rank: f"node{rank // 3}"))).jobs[0].ranks
    latest = found.latest.copy()
    latest[:, Column.STEP] = [20, 18, 20, 20, 11, NAN]
    latest[3, [Column.LOSS, Column.BAD]] = [NAN, 2]
    return replace(found, latest=latest, state=np.array(STATES, np.int8))


def passing(ranks: RankColumns, text: str) -> list[int]:
    found = parse(text, RANK_FIELDS)
    assert isinstance(found, Filter), found
    return [int(row) for row in np.flatnonzero(found.mask(lambda name: rank_values(ranks, name), len(ranks)))]


def test_the_example_of_the_help_finds_what_it_says(ranks: RankColumns) -> None:
    assert passing(ranks, "rank:1-4 node~node state:stalled wait<21") == [1, 4]
    assert passing(ranks, "node:node1 -state:stalled") == [3, 5]
    assert passing(ranks, "lag>1") == [1, 4]
    assert passing(ranks, "step:unknown") == [5]
    assert passing(ranks, "loss:nan") == [3]
    assert passing(ranks, "mem>60G gpu<92% wait:20ms temp:66 tok>16k power:610W") == [0, 1]


def test_every_field_has_a_value_for_each_rank_and_no_name_twice(ranks: RankColumns) -> None:
    for field in RANK_FIELDS:
        values = rank_values(ranks, field.name)
        assert len(values) == len(ranks)
        assert isinstance(values, np.ndarray) == (field.units is not None)
        assert not field.words or set(values) <= set(field.words)
    names = [name for field in RANK_FIELDS for name in field.named]
    assert len(names) == len(set(names))
    assert all(name == name.casefold() for name in names)
    assert set(WORST_FIRST) == set(RankState)


def test_lag_is_counted_from_the_furthest_rank(ranks: RankColumns) -> None:
    assert np.array_equal(lag(ranks), [0, 2, 0, 0, 9, NAN], equal_nan=True)
    assert np.isnan(lag(replace(ranks, latest=np.full_like(ranks.latest, NAN)))).all()


def test_states_sort_by_how_bad_they_are(ranks: RankColumns) -> None:
    state = next(field for field in RANK_FIELDS if field.name == "state")
    order = arranged(6, lambda name: rank_values(ranks, name), Filter(), Sort(state))
    assert order.tolist() == [2, 1, 4, 0, 3, 5]


def test_trouble_is_by_state_then_loss_then_accusation_then_lag(ranks: RankColumns) -> None:
    found = trouble(ranks, accused=[0])
    assert np.argsort(-found, kind="stable").tolist() == [2, 4, 1, 3, 0, 5]
    assert found[5] == 0
    assert trouble(ranks)[0] == 0
