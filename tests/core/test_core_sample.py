"""Which ranks stand for all, and that these alone keep long histories."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.core.record_lines import steps
from ugro_tui.core.columns import Column
from ugro_tui.core.decode import decode
from ugro_tui.core.ranks import LONG_HISTORY, MOST_WHOLE, SHORT_HISTORY, RankTable
from ugro_tui.core.sample import MAX_SAMPLE, in_sample, sample

RANKS = 2 * MOST_WHOLE


@given(st.integers(1, 20_000), st.integers(1, 256))
def test_a_sample_is_small_spread_and_part_of_every_larger_one(ranks: int, most: int) -> None:
    chosen = [number for number in range(ranks) if in_sample(number, ranks, most)]
    assert min(ranks, most) / 2 <= len(chosen) <= most
    assert all(in_sample(number, ranks, 2 * most) for number in chosen)


def test_of_many_ranks_those_that_stand_for_all_keep_long_histories() -> None:
    table = RankTable()
    for number in range(RANKS):
        table.rank(number)
    chosen = sample(table.by_row, MAX_SAMPLE)
    assert len(chosen) == MAX_SAMPLE
    for rank in (chosen[1], table.by_rank[chosen[1].rank + 1]):
        table.apply(rank, decode(steps(1, 2 * LONG_HISTORY)), 0.0)
    long, short = (table.by_rank[chosen[1].rank + more].series for more in range(2))
    assert long.rows[0, Column.STEP] == 1
    assert LONG_HISTORY / 2 <= len(long) <= LONG_HISTORY
    newest = short.column(Column.STEP).tolist()
    assert newest == [float(step) for step in range(2 * LONG_HISTORY - len(short) + 1, 2 * LONG_HISTORY + 1)]
    assert 2 * SHORT_HISTORY / 3 <= len(newest) <= SHORT_HISTORY


def test_of_other_numbers_some_ranks_stand_for_all() -> None:
    table = RankTable()
    odd = [table.rank(2 * number + 1) for number in range(8)]
    assert len(sample(odd, 4)) == 4
