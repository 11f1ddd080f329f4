"""The circuit breaker: bounds, one trial at a time, and never shut for ever but for a person."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ugro_tui.collect.breaker import FAILURES, LEAST_SECONDS, MOST_SECONDS, PROBE_SECONDS, Breaker
from ugro_tui.nodes.base import Reaction

RETRY, WAIT, PERSON = Reaction.RETRY, Reaction.WAIT, Reaction.PERSON


def opened(random: float = 1.0, now: float = 0.0) -> Breaker:
    breaker = Breaker(lambda: random)
    for _ in range(FAILURES):
        assert breaker.allows(now)
        breaker.failed(now, RETRY)
    return breaker


def test_it_opens_at_the_third_failure_in_a_row_and_not_before() -> None:
    breaker = Breaker(lambda: 1.0)
    for reaction in (RETRY, RETRY):
        breaker.failed(0.0, reaction)
        assert breaker.allows(0.0)
        assert not breaker.open
    breaker.failed(0.0, RETRY)
    assert not breaker.allows(0.0)
    assert breaker.open


@pytest.mark.parametrize("answer", ["succeeded", "waits"])
def test_an_answer_in_between_counts_from_the_beginning(answer: str) -> None:
    breaker = Breaker(lambda: 1.0)
    for _ in range(10):
        breaker.failed(0.0, RETRY)
        breaker.failed(0.0, RETRY)
        if answer == "succeeded":
            breaker.succeeded(0.0)
        else:
            breaker.failed(0.0, WAIT)
    assert breaker.allows(0.0)


def test_pauses_double_up_to_five_minutes() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(40):
        pauses.append(breaker.retry_in(now))
        now += pauses[-1]
        assert breaker.allows(now)
        breaker.failed(now, RETRY)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0] + [MOST_SECONDS] * 34


@pytest.mark.parametrize(("random", "pause"), [(0.0, LEAST_SECONDS), (0.1, LEAST_SECONDS), (0.5, 2.5), (1.0, 5.0)])
def test_pauses_are_drawn_between_one_second_and_the_bound(random: float, pause: float) -> None:
    breaker = opened(random, now=100.0)
    assert breaker.retry_in(100.0) == pause
    assert not breaker.allows(100.0 + pause - 0.001)
    assert breaker.allows(100.0 + pause)


def test_there_is_one_trial_and_its_success_closes() -> None:
    breaker = opened()
    assert breaker.allows(5.0)
    assert not breaker.allows(5.0)
    assert not breaker.allows(20.0)
    breaker.succeeded(20.0)
    assert not breaker.open
    assert (breaker.allows(20.0), breaker.allows(20.0), breaker.retry_in(20.0)) == (True, True, 0.0)
    for _ in range(FAILURES):
        breaker.failed(20.0, RETRY)
    assert breaker.retry_in(20.0) == 5.0  # from the first pause again


def test_a_trial_that_never_ends_does_not_block_for_ever() -> None:
    breaker = opened()
    assert breaker.allows(5.0)
    assert breaker.retry_in(5.0) == PROBE_SECONDS
    assert breaker.allows(5.0 + PROBE_SECONDS)


def test_a_late_failure_of_an_earlier_question_puts_nothing_off() -> None:
    breaker = opened()
    breaker.failed(1.0, RETRY)
    assert breaker.retry_in(1.0) == 4.0


def test_what_a_person_must_mend_waits_for_the_person() -> None:
    breaker = Breaker(lambda: 0.0)
    breaker.failed(0.0, PERSON)
    breaker.failed(1.0, RETRY)
    breaker.succeeded(1.0)
    assert not breaker.allows(1e12)
    assert breaker.retry_in(1e12) == math.inf
    breaker.reset()
    assert breaker.allows(1e12)
    assert not breaker.open


EVENTS = st.one_of(
    st.tuples(st.just("pass"), st.floats(0, 400)),
    st.tuples(st.sampled_from(["ask", "succeeded", "retry", "wait"]), st.just(0.0)),
)


@settings(max_examples=300, deadline=None, database=None)
@given(randoms=st.lists(st.floats(0, 1), min_size=1), events=st.lists(EVENTS, max_size=60))
def test_whatever_happens_it_is_bounded_and_tries_one_at_a_time(
    randoms: list[float], events: list[tuple[str, float]]
) -> None:
    drawn = iter(randoms * 100)
    breaker, now, trial = Breaker(lambda: next(drawn)), 0.0, -math.inf
    for event, seconds in events:
        now += seconds
        wait, was_open = breaker.retry_in(now), breaker.open
        assert 0.0 <= wait <= MOST_SECONDS
        if event == "ask":
            allowed = breaker.allows(now)
            assert allowed == (wait == 0.0)
            if allowed and was_open:
                assert now - trial >= LEAST_SECONDS  # no second trial beside the first, nor right after it failed
                assert not breaker.allows(now)
                trial = now
        elif event == "succeeded":
            breaker.succeeded(now)
        elif event != "pass":
            breaker.failed(now, Reaction(event))
        if event in ("succeeded", "wait"):
            assert not breaker.open
            trial = -math.inf
    assert breaker.allows(now + breaker.retry_in(now) + 1e-6)
