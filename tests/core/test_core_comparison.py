"""Runs side by side, by numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.core.record_lines import RUNNING, end, manifest
from tests.core.record_lines import job as job_of
from tests.ui.alert_scenes import hung
from tests.ui.scenes import COMPLETED, Run, ended, job, non_finite, snapshot
from ugro_tui.core.alerts import Severity
from ugro_tui.core.archive import Finding, Found, Inquiry, Line, Lines, MetricLines, MetricNames
from ugro_tui.core.attempts import Attempt, Attempts
from ugro_tui.core.compared import RunName, run_named, runs_named
from ugro_tui.core.comparing import gather
from ugro_tui.core.comparison import Comparison, Row, compared, config_difference
from ugro_tui.core.curve import Axis
from ugro_tui.core.entries import EMPTY_BOOK, BookView, Entry, Mark
from ugro_tui.core.errors import BadInput
from ugro_tui.core.replay import Fired, Past
from ugro_tui.core.same_place import difference_texts, differences
from ugro_tui.core.side import Side
from ugro_tui.core.snapshot import curve_of, view
from ugro_tui.core.states import JobStatus
from ugro_tui.core.summary import summarise

NAN = math.nan
TOLD = Attempt(1, JobStatus.FINISHED, 2, "H100", 40.0, 4e3, 60.0, 200.0, {"lr": "0.1", "width": "128"})


def line(rank: int, steps: npt.ArrayLike, values: npt.ArrayLike, tokens: float = NAN) -> Line:
    """A line with `tokens` for each step."""
    step = np.array(steps, float)
    return Line(rank, step, step * 0.5, step * tokens, np.array(values, float))


def lines(*ranks: Line, metric: str = "loss") -> Lines:
    return Lines(metric, ranks, len(ranks))


def row(found: Comparison, name: str) -> Row:
    return next(one for one in found.rows if one.name.strip() == name)


def test_final_numbers_come_from_the_records_of_an_attempt_that_is_over() -> None:
    first = Side(RunName("a", 1), None, TOLD, 2, lines(line(0, [10, 20], [3, 1]), line(1, [10, 20], [2, 3])))
    second = Side(
        RunName("b"), None, replace(TOLD, throughput=100.0, world_size=1), 1, lines(line(0, [10, 30], [1.5, 2]))
    )
    found = compared([first, second])
    assert row(found, "last loss") == Row("last loss", (2.0, 2.0), ("2.000", "2.000"), note="mean")
    assert row(found, "min loss").values == (1.0, 1.5)
    assert row(found, "min loss").best == (0,)
    assert row(found, "at step").texts == ("20", "10")
    assert row(found, "of rank").texts == ("0", "–"), "of several ranks"
    assert row(found, "tok/s, mean").best == (0,)
    assert row(found, "tok/s per rank") == Row("tok/s per rank", (100.0, 100.0), ("100", "100"))
    assert row(found, "attempt").texts == ("1 of 2", "–")
    assert (row(found, "status").texts, row(found, "GPU").texts) == (("finished",) * 2, ("H100",) * 2)
    assert "alerts" not in [one.name for one in found.rows]


def test_the_newest_attempt_says_what_its_summary_says() -> None:
    done, bad = snapshot(job(Run("done", steps=500, ends=ended(4, **COMPLETED)))).jobs[0], non_finite().jobs[0]
    found = compared(
        [Side(RunName(one.job_id), one.summary, newest=1, fired=one.summary.alerts, retold=True) for one in (done, bad)]
    )
    assert row(found, "last loss").values == (done.summary.final_loss, "NaN")
    assert row(found, "last loss").best == ()
    assert row(found, "min loss").values == (done.summary.min_loss, bad.summary.min_loss)
    assert row(found, "status").texts == ("finished", "running")
    assert row(found, "steps").texts == ("500", "300")
    assert row(found, "alerts").texts == ("none", "1 (1 critical)")


def test_a_run_that_hangs_is_told_as_it_is_on_every_screen() -> None:
    view = hung().jobs[0]
    assert row(compared([Side(RunName("a"), view.summary)] * 2), "status").texts == ("hung", "hung")


def test_all_numbers_of_a_run_that_goes_on_are_of_the_moment_of_its_newest_loss() -> None:
    """The picture, the attempts and each metric are read in turn: each may be a record ahead of the others."""
    view = snapshot(job(Run("on", ranks=1, steps=300))).jobs[0]
    read: dict[Inquiry[Any], Finding[Any]] = {
        MetricNames("on"): Finding(("loss", "metrics.val_loss")),
        Attempts("on"): Finding((replace(TOLD, world_size=1, step=50.0, tokens=5e3, duration=26.0, begun=-1.0),)),
        Fired("on"): Finding(problem="too long"),
        MetricLines("on", "loss"): Finding(lines(line(0, [10, 20, 40], [3, 1, 2], 100))),
        MetricLines("on", "metrics.val_loss"): Finding(lines(line(0, [40, 50], [6, 5]), metric="metrics.val_loss")),
    }

    def look(inquiry: Inquiry[Found]) -> Finding[Found]:
        return read[inquiry]

    side = gather(RunName("on"), view, look).side
    found = compared([side, side])
    told = {name: row(found, name).texts[0] for name in ("steps", "last loss", "min loss", "tokens", "duration")}
    assert told == {
        "steps": "40", "last loss": "2.000", "min loss": "1.000", "tokens": "4.0k", "duration": "00:00:21"
    }  # fmt: skip
    assert row(found, "last val loss").texts[0] == "6.000"
    assert (found.as_of, row(found, "steps").label) == ((40.0, 40.0), "steps (so far)")


def test_what_fired_in_an_attempt_is_counted_whoever_knows_it_and_once() -> None:
    (now,) = non_finite().jobs[0].summary.alerts
    hang, slow = replace(now, rule="job_hang", severity=Severity.WARN), replace(now, rule="straggler")
    entries = [Entry("a", number, alert, 0.0, Mark.RESOLVED) for number, alert in ((1, slow), (2, now), (2, hang))]
    read: dict[type[Inquiry[Any]], Finding[Any]] = {
        Attempts: Finding((replace(TOLD, begun=100.0), replace(TOLD, number=2, begun=200.0))),
        Fired: Finding((Past(now, 150.0, 160.0), Past(hang, 250.0, NAN))),
    }

    def look(inquiry: Inquiry[Found]) -> Finding[Found]:
        return read.get(type(inquiry), Finding(problem="not read"))

    def told(attempt: int, book: BookView) -> str:
        return gather(RunName("a", attempt), None, look, book=book).side.alerts

    book = BookView(history=tuple(entries))
    assert [told(1, EMPTY_BOOK), told(2, EMPTY_BOOK)] == ["1 (1 critical)", "1"]
    assert [told(1, book), told(2, book)] == ["2 (2 critical)", "2 (1 critical)"]
    read[Fired] = Finding(problem="too long to be told again")
    assert [told(2, book), told(2, EMPTY_BOOK)] == ["≥ 2 (1 critical)", ""], "an attempt that nobody has seen"


def test_an_attempt_without_a_step_has_the_loss_of_no_other_one() -> None:
    before = lines(line(0, [10, 20], [3, 1]))
    fresh = Side(RunName("a"), told=replace(TOLD, step=NAN), newest=2, loss=before)
    first = Side(RunName("a", 1), told=TOLD, newest=2, loss=lines(line(0, [10, 20], [3, 2])))
    state = job_of(RUNNING + end("failed"))
    manifest(state, "running", attempt=2)
    relaunched = Side(RunName("a"), summarise(state, 90.0), None, 2, before, before)
    for second in (fresh, relaunched):
        found = compared([second, first])
        assert [row(found, name).texts[0] for name in ("last loss", "min loss", "steps")] == ["–"] * 3
        assert (row(found, "at step").texts, row(found, "last loss").best) == (("–", "20"), ())
        assert found.differences == ()


def test_nothing_known_is_unknown_and_never_zero() -> None:
    found = compared([Side(RunName("a")), Side(RunName("b"))])
    assert {text for one in found.rows for text in one.texts} == {"–"}
    assert (found.differences, found.settings, found.same) == ((), (), 0)


def test_the_loss_at_the_same_step_is_interpolated_at_the_last_that_all_have() -> None:
    shown = [lines(line(0, [0, 10, 20], [4, 2, 1])), lines(line(0, [0, 15], [5, 2])), None]
    (found,) = differences(shown)
    assert (found.axis, found.at) == (Axis.STEP, 15.0)
    assert found.values[:2] == (1.5, 2.0)
    assert math.isnan(found.values[2])
    assert found.beyond[:2] == (0.0, 0.5)
    assert found.least == (0,)
    assert difference_texts(found) == ("1.500", "2.000 (+0.500)", "–")


def test_the_loss_at_the_same_number_of_tokens_and_the_mean_of_ranks() -> None:
    shown = [lines(line(0, [0, 10], [4, 2], 100), line(1, [0, 10], [6, 4], 100)), lines(line(0, [0, 10], [5, 1], 200))]
    at_step, at_tokens = differences(shown)
    assert (at_step.at, at_step.values) == (10.0, (3.0, 1.0))
    assert (at_tokens.axis, at_tokens.at, at_tokens.values) == (Axis.TOKENS, 1000.0, (3.0, 3.0))
    assert at_tokens.least == ()


def test_values_that_are_no_numbers_are_left_out_of_what_is_compared() -> None:
    bad = lines(line(0, [0, 10, 20], [4, NAN, math.inf]))
    assert differences([bad, lines(line(0, [5, 20], [1, 1]))]) == []  # the last number of one is before the other began
    (found,) = differences([lines(line(0, [0, 10, 20], [4, NAN, 2])), lines(line(0, [0, 20], [1, 1]))])
    assert (found.at, found.values) == (20.0, (2.0, 1.0))
    ends = compared([Side(RunName("a"), loss=bad), Side(RunName("b"))])
    assert row(ends, "last loss").values[0] == "NaN"
    assert row(ends, "min loss").values[0] == 4.0


def test_another_metric_is_told_beside_the_loss() -> None:
    sides = [
        Side(RunName(name), loss=lines(line(0, [1], [1])), metric=lines(line(0, [1, 2], [low, 3]), metric="acc"))
        for name, low in (("a", 1), ("b", 2))
    ]
    found = compared(sides, "acc")
    assert (row(found, "last acc").values, row(found, "min acc").values) == ((3.0, 3.0), (1.0, 2.0))
    assert row(found, "min acc").best == ()
    assert [(one.at, one.values) for one in found.differences] == [(2.0, (3.0, 3.0))]


def test_the_loss_that_was_validated_is_told_once_and_the_better_one_marked() -> None:
    held = [lines(line(0, [1, 2], [9, low]), metric="metrics.val_loss") for low in (3, 2)]
    told = [replace(TOLD, step=2.0)] * 2
    sides = [Side(RunName(str(one)), told=told[one], validation=held[one], metric=held[one]) for one in (0, 1)]
    found = compared(sides, "metrics.val_loss")
    assert [one.name for one in found.rows if "val" in one.name] == [
        f"{end} metrics.val_loss" for end in ("last", "min", "max")
    ]
    assert (row(found, "last metrics.val_loss").best, row(found, "min metrics.val_loss").best) == ((1,), (1,))


def test_the_configuration_tells_what_differs_and_counts_the_rest() -> None:
    settings, same = config_difference([{"lr": "1", "a": "x", "b": "y"}, {"lr": "2", "a": "x", "c": "z"}, None])
    assert [(one.name, one.values) for one in settings] == [
        ("b", ("y", None, None)), ("c", (None, "z", None)), ("lr", ("1", "2", None)),
    ]  # fmt: skip
    assert same == 1
    assert config_difference([{"lr": "1"}, None]) == ((), 0)


def test_runs_are_named_as_people_type_them() -> None:
    assert [run_named(text) for text in ("a", "a#2")] == [RunName("a"), RunName("a", 2)]
    assert [run.text for run in runs_named(["b#1", "b"])] == ["b#1", "b"]


@pytest.mark.parametrize(
    "texts", [["a"], ["a", "a"], list("abcde"), ["a", "b#0"], ["a", "b#x"], ["a", "../b"], ["a", "#2"]]
)
def test_runs_that_cannot_be_compared_are_refused(texts: list[str]) -> None:
    with pytest.raises(BadInput):
        runs_named(texts)


def test_only_what_belongs_to_an_attempt_is_asked_for() -> None:
    asked: list[Inquiry[object]] = []
    told: tuple[Attempt, ...] = (TOLD, replace(TOLD, number=2))

    def look(inquiry: Inquiry[Found]) -> Finding[Found]:
        asked.append(inquiry)
        known = {Attempts("a"): told, MetricNames("a"): ("loss", "metrics.val_loss", "val/loss")}
        return Finding(known.get(inquiry), "" if inquiry in known else "no")  # type: ignore[arg-type]

    found = gather(RunName("a", 1), None, look)
    assert (found.side.told, found.side.newest, found.problem) == (TOLD, 2, "no")
    assert {one for one in asked if isinstance(one, MetricLines)} == {
        MetricLines("a", "loss", attempt=1), MetricLines("a", "metrics.val_loss", attempt=1),
    }  # fmt: skip
    assert gather(RunName("a", 7), None, look).problem == "job a has no attempt 7: its records tell of 1, 2"
    state = job_of(RUNNING + end("failed"))
    manifest(state, "running", attempt=2)
    second, told = view(state, 90.0, curve_of(state)), ()
    assert "no attempt 1 that is known: it is #2" in gather(RunName("a", 1), second, look).problem


def noisy(level: float, seed: int, last: int = 200, sigma: float = 0.1) -> Lines:
    """Four ranks whose loss falls to `level`, with noise around it."""
    steps, random = np.arange(1.0, last + 1), np.random.default_rng(seed)
    return lines(*(line(rank, steps, level + 3 / steps + random.normal(0, sigma, last), 10) for rank in range(4)))


def finished(name: str, loss: Lines, step: float = 200.0, status: JobStatus = JobStatus.FINISHED) -> Side:
    return Side(RunName(name), None, replace(TOLD, status=status, step=step), 1, loss)


def test_noise_is_not_better() -> None:
    alike = compared([finished("a", noisy(2.0, 1)), finished("b", noisy(2.02, 2)), finished("c", noisy(2.0, 3))])
    assert {one.best for one in alike.rows} == {()}
    assert [alike.best_at(one) for one in alike.differences] == [(), ()]
    better = compared([finished("a", noisy(2.0, 1)), finished("b", noisy(1.0, 2)), finished("c", noisy(1.01, 3))])
    assert row(better, "last loss").best == row(better, "min loss").best == (1, 2)
    assert [better.best_at(one) for one in better.differences] == [(1, 2), (1, 2)]
    assert better.differences[0].spreads[0] == pytest.approx(0.05, rel=0.5)
    sure = compared([finished("a", noisy(2.0, 1, sigma=1e-4)), finished("b", noisy(1.99, 2, sigma=1e-4))])
    assert row(sure, "last loss").best == (1,)


def test_a_run_that_is_ahead_is_not_better_for_it() -> None:
    behind = finished("b", noisy(2.0, 2, last=100), 100.0, JobStatus.RUNNING)
    found = compared([finished("a", noisy(1.0, 1)), behind])
    assert row(found, "last loss").best == row(found, "min loss").best == ()
    assert [found.best_at(one) for one in found.differences] == [(0,), (0,)]  # at the same place they may be compared


def test_total_steps_are_told_once_where_an_option_says_the_same() -> None:
    configs = [{"steps": "100", "total_steps": "100"}, {"steps": "200", "total_steps": "200"}]
    assert [one.name for one in config_difference(configs)[0]] == ["steps"]
    configs[1]["total_steps"] = "150"
    assert [one.name for one in config_difference(configs)[0]] == ["steps", "total_steps"]
