"""Pending, firing, resolved: the state that rules keep for each rank."""

from __future__ import annotations

import numpy as np

from ugro_tui.core.rules.latch import Latch


def told(*values: bool) -> np.ndarray:
    """One value a rank."""
    return np.array(values, bool)


def test_a_breach_fires_when_it_has_lasted_and_not_before() -> None:
    latch = Latch()
    for now, fires in ((100.0, False), (159.9, False), (160.0, True), (161.0, True)):
        assert latch.update(told(True), told(True), now, 60.0).tolist() == [fires]
    assert latch.fired_at.tolist() == [160.0]


def test_a_breach_that_pauses_begins_anew() -> None:
    latch = Latch()
    latch.update(told(True), told(True), 0.0, 60.0)
    latch.update(told(False), told(True), 30.0, 60.0)
    assert latch.update(told(True), told(True), 60.0, 60.0).tolist() == [False]
    assert latch.update(told(True), told(True), 120.0, 60.0).tolist() == [True]


def test_what_fires_holds_until_its_own_threshold_and_holding_alone_fires_nothing() -> None:
    latch = Latch()
    assert latch.update(told(True, False), told(True, True), 0.0).tolist() == [True, False]
    assert latch.update(told(False, False), told(True, True), 5.0).tolist() == [True, False]
    assert latch.fired_at[0] == 0.0
    assert latch.update(told(False, False), told(False, True), 6.0).tolist() == [False, False]
    assert np.isnan(latch.fired_at).all()
    assert latch.update(told(False, False), told(True, True), 7.0).tolist() == [False, False]


def test_samples_count_once_each_and_in_a_row() -> None:
    latch = Latch()
    at = [np.array([time]) for time in (1.0, 1.0, 2.0, 3.0, 4.0, 5.0)]
    breaches = [True, True, True, False, True, True]
    fired = [latch.count(told(breach), sample, 9.0, 2.0)[0] for breach, sample in zip(breaches, at, strict=True)]
    assert fired == [False, False, True, False, False, True]


def test_a_rank_that_was_never_sampled_does_not_fire() -> None:
    latch = Latch()
    for _ in range(3):
        assert latch.count(told(True), np.array([np.nan]), 0.0, 1.0).tolist() == [False]


def test_ranks_that_come_later_begin_with_nothing() -> None:
    latch = Latch()
    latch.update(told(True), told(True), 0.0, 10.0)
    assert latch.update(told(True, True), told(True, True), 10.0, 10.0).tolist() == [True, False]
    assert latch.update(told(True, True), told(True, True), 20.0, 10.0).tolist() == [True, True]
