"""Is it learning: spikes, divergence, gradients, skipped steps, throughput, and losses that are no numbers."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from tests.core.record_lines import START_TS, end, line, start, step
from tests.core.rule_scenes import Scene, curve
from ugro_tui.core.alerts import Severity
from ugro_tui.core.states import JobStatus
from ugro_tui.core.summary import JobSummary, summarise

QUIET = [2.0 + 0.01 * (n % 5) for n in range(100)]
"""A loss of 2.00 to 2.04: its median is 2.02, and 10 % of that are more than 6 sigmas."""

LIMIT = 2.02 * 1.10


def after(values: Iterable[float], name: str = "loss", settings: dict[str, float] | None = None) -> Scene:
    """A scene whose only rank has recorded the quiet values and then these."""
    scene = Scene(settings=settings)
    scene.write(0, curve([*QUIET, *values], name))
    return scene


# --- spikes


@pytest.mark.parametrize(
    ("values", "fires"),
    [
        ([LIMIT + 0.01] * 2, True),
        ([LIMIT - 0.01] * 20, False),
        ([99.0], False),  # 1 of 3
        ([99.0, 2.0, 2.0, 99.0], False),  # 2 of 4
        ([99.0, 2.0, 99.0], True),
        ([1.0, 1.0, 1.0], False),  # good news
    ],
)
def test_a_spike_is_two_of_three_records_above_the_limit(values: list[float], fires: bool) -> None:
    assert ("loss_spike" in after(values).tick()) == fires


def test_a_spike_tells_where_and_how_far() -> None:
    alert = after([3.0, 4.0]).tick()["loss_spike"]
    assert (alert.severity, alert.rank, alert.node) == (Severity.WARN, None, "")
    assert alert.what == "loss 4.000 at step 106 against a median of 2.020"
    assert alert.value == 4.0
    assert alert.threshold == pytest.approx(LIMIT)
    assert alert.age == 1.0
    assert alert.next_step == "watch it, and keep the last checkpoint"


def test_sigmas_count_where_the_loss_is_noisy() -> None:
    noise = random.Random(1)
    values = [2.0 + noise.gauss(0, 0.1) for _ in range(100)]
    for height, fires in ((0.45, False), (0.8, True)):
        scene = Scene()
        scene.write(0, curve([*values, 2.0 + height, 2.0 + height]))
        assert ("loss_spike" in scene.tick()) == fires


def test_a_spike_is_over_after_25_calm_records_and_not_before() -> None:
    scene = after([3.0, 3.0])
    scene.write(0, curve([2.0] * 24, first=108))
    assert "loss_spike" in scene.tick()
    scene.write(0, curve([2.0], first=132))
    assert "loss_spike" not in scene.tick()


def test_records_between_half_and_the_whole_of_the_limit_do_not_calm_a_spike() -> None:
    between = (2.02 + LIMIT) / 2 + 0.01
    scene = after([3.0, 3.0, *([2.0] * 24), between, *([2.0] * 24)])
    assert "loss_spike" in scene.tick()


def test_too_few_records_make_no_median() -> None:
    for quiet, fires in ((68, False), (69, True)):
        scene = Scene()
        scene.write(0, curve([*QUIET[:quiet], 99.0, 99.0]))
        assert ("loss_spike" in scene.tick()) == fires


def test_the_first_records_are_no_measure() -> None:
    """Those of the first 5 iterations would make it 64 points."""
    scene = Scene()
    scene.write(0, curve([2.0] * 68, first=1) + curve([99.0, 99.0], first=69))
    assert "loss_spike" not in scene.tick()


def test_a_run_of_several_ranks_is_judged_by_their_mean() -> None:
    for odd, fires in ((2.6, False), (99.0, True)):
        scene = Scene(ranks=4)
        for rank in scene.ranks:
            scene.write(rank, curve([*QUIET, *([odd if rank == 3 else 2.0] * 2)]))
        assert ("loss_spike" in scene.tick()) == fires


def test_a_step_is_judged_when_every_rank_has_made_it() -> None:
    scene = Scene(ranks=2)
    scene.write(0, curve([*QUIET, 99.0, 99.0]))
    scene.write(1, curve(QUIET))
    assert "loss_spike" not in scene.tick()
    scene.write(1, curve([99.0, 99.0], first=106))
    assert "loss_spike" in scene.tick()


def test_a_restart_forgets_the_spike_and_the_median() -> None:
    scene = after([99.0] * 3)
    assert "loss_spike" in scene.tick()
    scene.write(0, start(START_TS + 200, attempt=2, run_id="s") + curve([50.0] * 10, first=90))
    assert "loss_spike" not in scene.tick()


# --- divergence


def test_a_spike_that_does_not_recover_in_100_steps_is_a_divergence() -> None:
    scene = after([4.0] * 100)
    assert [alert.rule for alert in scene.all()] == ["loss_spike"]
    scene.write(0, curve([4.0], first=206))
    (alert,) = scene.all()
    assert (alert.rule, alert.severity, alert.rank) == ("divergence", Severity.CRIT, None)
    assert alert.what == "loss 4.000 is not back since a spike at step 106 (2.020 before)"
    assert alert.threshold == pytest.approx(2.02 * 1.1)
    assert alert.next_step == "restart about 100 steps before it and skip those batches"


def test_a_spike_that_recovers_is_no_divergence() -> None:
    assert "divergence" not in after([*([4.0] * 50), *([2.1] * 200)]).tick()


def test_a_divergence_ends_when_the_loss_is_back() -> None:
    scene = after([4.0] * 150)
    assert "divergence" in scene.tick()
    scene.write(0, curve([2.0] * 12, first=256))
    assert "divergence" in scene.tick()  # most of the last 25 are still high
    scene.write(0, curve([2.0] * 40, first=268))
    assert scene.tick() == {}


def test_a_divergence_does_not_come_back_with_one_high_record() -> None:
    """The loss ends a little above where it was, so the spike is not over, and single records are higher still."""
    scene = after([*([4.0] * 150), *([2.15] * 40)])
    assert "divergence" not in scene.tick()
    for number in range(40):
        scene.write(0, curve([2.3 if number % 4 == 0 else 2.15], first=296 + number))
        assert "divergence" not in scene.tick()


def test_a_loss_that_came_back_and_rises_again_diverges_100_steps_later() -> None:
    scene = after([*([4.0] * 150), *([2.15] * 40)])
    scene.write(0, curve([9.0] * 100, first=296))
    assert "divergence" not in scene.tick()
    scene.write(0, curve([9.0] * 10, first=396))
    assert "divergence" in scene.tick()


# --- plateau


def flat(scene: Scene, records: int) -> None:
    """A loss that moves up and down without a slope."""
    scene.write(0, curve([2.0, 2.1] * (records // 2)))


def test_a_plateau_is_told_only_where_somebody_asks_for_it() -> None:
    for enabled, records, fires in ((0, 120, False), (1, 120, True), (1, 90, False)):
        scene = Scene(settings={"plateau.enabled": enabled}, total_steps=500)
        flat(scene, records)
        assert ("plateau" in scene.tick()) == fires


def test_a_loss_that_falls_is_no_plateau() -> None:
    scene = Scene(settings={"plateau.enabled": 1}, total_steps=500)
    scene.write(0, curve([3.0 - 0.005 * n for n in range(120)]))
    assert "plateau" not in scene.tick()


def test_a_plateau_is_not_judged_without_a_plan() -> None:
    scene = Scene(settings={"plateau.enabled": 1}, total_steps=None)
    flat(scene, 300)
    assert "plateau" not in scene.tick()


# --- gradients


@pytest.mark.parametrize(("norm", "fires"), [(10.0 * 2.04 - 0.1, False), (10.0 * 2.04 + 0.1, True)])
def test_a_gradient_ten_times_the_highest_so_far_explodes_at_once(norm: float, fires: bool) -> None:
    assert ("gradient_explosion" in after([norm], "grad_norm").tick()) == fires


def test_a_gradient_six_sigmas_high_explodes_the_second_time() -> None:
    assert "gradient_explosion" not in after([3.0], "grad_norm").tick()
    alert = after([3.0, 3.5], "grad_norm").tick()["gradient_explosion"]
    assert (alert.severity, alert.what) == (Severity.WARN, "gradient norm 3.500 at step 106 against 2.020 before")
    assert alert.next_step == "lower the learning rate, clip gradients"


def test_the_highest_gradient_of_the_ranks_counts() -> None:
    scene = Scene(ranks=3)
    for rank in scene.ranks:
        scene.write(rank, curve([*QUIET, 50.0 if rank == 1 else 2.0], "grad_norm"))
    assert scene.tick()["gradient_explosion"].value == 50.0


@pytest.mark.parametrize(("records", "fires"), [(50, False), (51, True)])
def test_a_gradient_a_thousandth_of_its_median_vanishes_in_50_steps(records: int, fires: bool) -> None:
    found = after([0.001] * records, "grad_norm").tick()
    assert ("gradient_vanish" in found) == fires
    if fires:
        alert = found["gradient_vanish"]
        assert alert.what == "gradient norm 0.001000 since step 106 against a median of 2.020"
        assert alert.threshold == pytest.approx(2.02e-3)


def test_a_gradient_above_a_thousandth_has_not_vanished_and_is_back_after_two_records() -> None:
    assert "gradient_vanish" not in after([0.0021] * 100, "grad_norm").tick()
    scene = after([0.001] * 60, "grad_norm")
    scene.write(0, curve([1.0], "grad_norm", first=166))
    assert "gradient_vanish" in scene.tick()
    scene.write(0, curve([1.0], "grad_norm", first=167))
    assert "gradient_vanish" not in scene.tick()


# --- skipped steps


def skipping(counts: Iterable[float], every: int = 1) -> Scene:
    """A run that says of each record how many steps were skipped."""
    scene = Scene()
    scene.write(0, step(1, loss=2.0))  # the warm-up begins
    for place, count in enumerate(counts, 1):
        number = 10 + place * every
        scene.write(0, step(number, loss=2.0, metrics={"skipped": count}))
    return scene


@pytest.mark.parametrize(("skipped", "fires"), [(10, False), (11, True)])
@pytest.mark.parametrize("cumulative", [True, False])
def test_more_than_a_twentieth_of_the_steps_skipped_is_a_storm(skipped: int, fires: bool, cumulative: bool) -> None:
    flags = [1.0 if n % 10 == 5 and n // 10 < skipped else 0.0 for n in range(201)]
    counts = [7.0 + sum(flags[: n + 1]) for n in range(201)] if cumulative else flags
    found = skipping(counts).tick()
    assert ("overflow_storm" in found) == fires
    if fires:
        assert found["overflow_storm"].what == "11 of the last 200 steps were skipped"
        assert found["overflow_storm"].severity is Severity.WARN
        assert found["overflow_storm"].value == pytest.approx(11 / 200)


def test_counts_of_ten_steps_each_add_up() -> None:
    assert "overflow_storm" in skipping([2 * (n % 2) for n in range(25)], every=10).tick()
    assert "overflow_storm" not in skipping([float(n == 3) for n in range(25)], every=10).tick()


def test_a_count_that_stands_still_is_no_storm_however_high() -> None:
    assert "overflow_storm" not in skipping([500.0] * 250).tick()


def test_a_count_that_falls_back_is_not_taken_for_counts_of_each_record() -> None:
    assert "overflow_storm" not in skipping([500.0] * 150 + [0.0] * 60).tick()


def test_a_storm_is_over_at_half_of_the_share() -> None:
    scene = skipping([float(n % 10 == 5) for n in range(201)])
    assert "overflow_storm" in scene.tick()
    number, still = 212, True
    while still and number < 500:
        scene.write(0, step(number, loss=2.0, metrics={"skipped": 0.0}))
        still = "overflow_storm" in scene.tick()
        number += 1
    in_window = sum(n % 10 == 5 for n in range(201) if n + 11 > number - 1 - 200)
    assert in_window == 5


def test_runs_that_do_not_tell_what_they_skip_are_not_judged() -> None:
    scene = Scene()
    scene.write(0, curve([2.0] * 300))
    assert scene.tick() == {}


# --- throughput


def test_a_throughput_below_four_fifths_for_20_steps_is_told_and_cleared_above_nine_tenths() -> None:
    usual = [1_000.0] * 100
    scene = Scene()
    scene.write(0, curve([*usual, *([790.0] * 20)], "throughput"))
    assert "throughput_drop" not in scene.tick()
    scene.write(0, curve([790.0], "throughput", first=126))
    alert = scene.tick()["throughput_drop"]
    assert (alert.severity, alert.value, alert.threshold) == (Severity.WARN, 790.0, 800.0)
    assert alert.what == "790 tokens/s a rank against a median of 1.0k since step 106"
    scene.write(0, curve([890.0] * 50, "throughput", first=127))
    assert "throughput_drop" in scene.tick()
    scene.write(0, curve([910.0] * 2, "throughput", first=177))
    assert "throughput_drop" not in scene.tick()


def test_a_throughput_above_four_fifths_is_no_drop_whatever_is_set_higher() -> None:
    scene = Scene()
    scene.write(0, curve([*([1_000.0] * 100), *([810.0] * 60)], "throughput"))
    assert "throughput_drop" not in scene.tick()
    scene = Scene(settings={"throughput_drop.threshold": 0.85})
    scene.write(0, curve([*([1_000.0] * 100), *([810.0] * 60)], "throughput"))
    assert "throughput_drop" in scene.tick()


def test_a_drop_of_one_record_is_nothing() -> None:
    scene = Scene()
    scene.write(0, curve([*([1_000.0] * 100), 10.0, *([1_000.0] * 30), 10.0, 1_000.0], "throughput"))
    assert "throughput_drop" not in scene.tick()


# --- not a number


def test_a_masked_nan_is_told_even_where_overflows_came_first() -> None:
    scene = Scene()
    scene.write(0, curve([2.0] * 20) + step(26, loss=2.0, grad_norm="Infinity"))
    assert scene.tick()["non_finite_loss"].severity is Severity.WARN
    scene.write(0, step(27, loss=0.0, grad_norm="NaN"))
    alert = scene.tick()["masked_nan"]
    assert (alert.severity, alert.rank, alert.node) == (Severity.CRIT, 0, "node-a")
    assert "non_finite_loss" not in scene.tick()


def test_a_loss_that_is_nan_outweighs_the_masked_one_before_it() -> None:
    scene = Scene()
    scene.write(0, step(1, loss=0.0, grad_norm="NaN") + step(2, loss="NaN"))
    assert set(scene.tick()) == {"non_finite_loss"}
    assert scene.tick()["non_finite_loss"].severity is Severity.CRIT


def test_a_loss_of_zero_with_a_finite_gradient_is_a_loss() -> None:
    scene = Scene()
    scene.write(0, step(1, loss=0.0, grad_norm=1.0))
    assert scene.tick() == {}


def test_many_ranks_with_nan_are_one_alert_and_the_earliest_is_named() -> None:
    for ranks in (2, 9):
        scene, first = Scene(ranks=ranks), ranks - 1
        scene.steps([1])
        scene.steps([2], only=[first], loss="NaN")
        scene.steps([2], only=[rank for rank in scene.ranks if rank != first])
        scene.steps([3], loss="NaN")
        found = scene.all(6.0)
        assert [(alert.rule, alert.rank, alert.ranks) for alert in found] == [("non_finite_loss", first, ranks)]
        assert found[0].where == f"rank {first} on node-a and {ranks - 1} more"


def test_ranks_whose_gradient_alone_is_no_number_are_not_told_to_have_lost_their_loss() -> None:
    scene = Scene(ranks=3)
    scene.steps([1], only=[1], loss="NaN", grad_norm="NaN")
    scene.steps([1], only=[0, 2], loss=2.0, grad_norm="NaN")
    found = scene.tick()["non_finite_loss"]
    assert (found.rank, found.ranks, found.severity) == (1, 1, Severity.CRIT)


def test_ten_finite_records_clear_it_and_say_so() -> None:
    scene = Scene()
    scene.write(0, step(1, loss="NaN") + curve([2.0] * 9, first=2))
    assert scene.tick()["non_finite_loss"].severity is Severity.CRIT
    scene.write(0, curve([2.0], first=11))
    (alert,) = scene.all()
    assert (alert.name, alert.severity) == ("loss recovered", Severity.INFO)
    assert alert.what == "not finite in 1 of the records of rank 0, the last at step 1; finite since"


def told_at_the_end(*losses: float | str, status: str = "completed") -> JobSummary:
    """What is told half a minute after the end of a run whose records after step 1 had these losses."""
    scene = Scene()
    scene.write(0, step(1))
    scene.tick(10.0)
    for number, loss in enumerate(losses, 2):
        scene.write(0, step(number, START_TS + scene.now, loss=loss))
        scene.tick(scene.now + 1)
    scene.write(0, end(status, START_TS + scene.now))
    return summarise(scene.job, 50.0, tuple(scene.all(50.0)))


@pytest.mark.parametrize(("status", "begins"), [("completed", "finished, but "), ("stopped", "stopped; ")])
def test_a_run_that_ended_in_nan_says_how_it_ended_and_the_alert_grows_no_older(status: str, begins: str) -> None:
    summary = told_at_the_end("NaN", "NaN", "NaN", status=status)
    (alert,) = summary.alerts
    assert (alert.rule, alert.severity, alert.age) == ("non_finite_loss", Severity.CRIT, 3.0)
    assert alert.next_step == "relaunch from a checkpoint before that step, with a lower learning rate"
    assert summary.verdict == f"{begins}{alert.sentence}"
    assert summary.unwell


def test_a_run_whose_losses_were_finite_again_when_it_ended_is_well() -> None:
    summary = told_at_the_end("NaN", 2.0)
    assert (summary.status, summary.verdict, summary.unwell) == (JobStatus.FINISHED, "finished", False)
    (alert,) = summary.alerts
    assert (alert.rule, alert.next_step) == ("loss_recovered", "validate its last checkpoint before you use it")


def test_the_age_of_a_nan_is_that_of_its_record_also_where_it_is_read_late() -> None:
    scene = Scene()
    scene.now = 100.0
    scene.write(0, step(1, START_TS + 60) + step(2, START_TS + 70, loss="NaN") + step(3, START_TS + 90, loss="NaN"))
    assert scene.tick(130.0)["non_finite_loss"].age == 50.0


def test_the_age_of_a_nan_is_the_same_however_its_records_are_cut() -> None:
    late = Scene()
    late.now = 100.0
    pause = line("phase", name="eval", state="begin", ts=START_TS + 75)
    records = [step(2, START_TS + 70, loss="NaN"), pause, step(3, START_TS + 90, loss="NaN")]
    late.write(0, step(1, START_TS + 60) + b"".join(records))
    assert late.tick(130.0)["non_finite_loss"].age == 50.0
    late.write(0, end("completed", START_TS + 130))
    assert late.tick(700.0)["non_finite_loss"].age == 60.0


def test_of_ranks_that_recovered_those_are_told_whose_loss_it_was() -> None:
    scene = Scene(ranks=2)
    scene.write(0, step(1, loss="NaN") + curve([2.0] * 10, first=2))
    scene.write(1, step(1, loss=2.0) + step(2, loss=2.0, grad_norm="NaN") + curve([2.0] * 9, first=3))
    scene.write(1, step(12, loss=2.0, grad_norm=1.0))
    (alert,) = [alert for alert in scene.all() if alert.rule == "loss_recovered"]
    assert (alert.ranks, alert.what) == (
        1, "not finite in 1 of the records of rank 0, the last at step 1; finite since",
    )  # fmt: skip
    alone = Scene()
    alone.write(0, step(1, loss=2.0, grad_norm="NaN") + curve([2.0] * 10, first=2))
    assert alone.tick()["loss_recovered"].what == (
        "gradient norm not finite in 1 of the records of rank 0, the last at step 1; finite since"
    )


def test_an_evaluation_says_nothing_of_the_loss() -> None:
    scene = after([])
    scene.write(0, line("phase", name="eval", state="begin", ts=START_TS + 106))
    assert scene.tick(10_000.0) == {}
