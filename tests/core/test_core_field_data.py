"""Loss curves of real runs, where someone provides them: the folder is named by UGRO_FIELD_DATA."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core.record_lines import START_TS, job, start, step
from ugro_tui.core.columns import Column
from ugro_tui.core.decode import decode
from ugro_tui.core.job import JobState
from ugro_tui.core.replay import Told, replay
from ugro_tui.core.series import Series
from ugro_tui.core.snapshot import curve_of
from ugro_tui.core.summary import summarise
from ugro_tui.core.watch import evaluate


@pytest.fixture
def folder() -> Path:
    """The folder with the data of real runs."""
    named = os.environ.get("UGRO_FIELD_DATA", "")
    if not named:
        pytest.skip("UGRO_FIELD_DATA names no folder with data of real runs")
    return Path(named)


def followed(records: Iterator[dict[str, Any]], total_steps: int) -> JobState:
    """A job of one rank that has written these records."""
    lines = (step(record.pop("step"), seq=seq + 1, **record) for seq, record in enumerate(records))
    return job(start(total_steps=total_steps) + b"".join(lines))


def test_a_real_json_log(folder: Path) -> None:
    records = [json.loads(text) for text in (folder / "openpi_train_log.jsonl").read_text().splitlines()]
    losses = [float(record["loss"]) for record in records]
    state = followed(iter([dict(record) for record in records]), 20_000)
    summary = summarise(state, 1.0)
    assert (len(records), summary.step) == (175, 17_400)
    assert (summary.final_loss, summary.min_loss) == (losses[-1], min(losses))
    assert evaluate(state, 1.0) == ()
    curve = curve_of(state)
    assert curve.median.tolist() == losses
    assert curve.steps.tolist() == [float(number) for number in range(0, 17_401, 100)]


def test_a_real_table_of_a_thousand_steps(folder: Path) -> None:
    with (folder / "deepspeed_7b_baseline_loss.csv").open() as file:
        rows = [{"step": int(row["step"]), "loss": float(row["loss"])} for row in csv.DictReader(file)]
    state = followed(iter([dict(row) for row in rows]), 1_000)
    series = state.ranks[0].series
    assert len(series) == len(rows) == 1_000
    assert summarise(state, 1.0).final_loss == rows[-1]["loss"]
    assert curve_of(state).high.max() == max(row["loss"] for row in rows)
    assert isinstance(series, Series)
    series.limit(128)
    kept = series.column(Column.LOSS)
    assert (kept.min(), kept.max()) == (min(row["loss"] for row in rows), max(row["loss"] for row in rows))


def test_the_pace_of_a_real_run_leaves_out_its_warm_up(folder: Path) -> None:
    content = json.loads((folder / "megatron_gpt3_tp2pp2_fp8_h100_golden.json").read_text())
    times = [float(value) for value in content["iteration-time"]["values"].values() if value != "nan"]
    losses = [float(value) for value in content["lm loss"]["values"].values()]
    stamps = START_TS + np.cumsum(times)
    pairs = zip(stamps.tolist(), losses, strict=False)
    state = followed(({"step": n + 1, "ts": ts, "loss": loss} for n, (ts, loss) in enumerate(pairs)), 4_000)
    early = followed(({"step": n + 1, "ts": ts} for n, ts in enumerate(stamps[:30].tolist())), 2_000)
    assert max(times[:5]) > 5 * float(np.median(times))
    assert summarise(early, 1.0).seconds_per_step == pytest.approx(np.median(times[6:30]), rel=0.1)
    assert summarise(state, 1.0).seconds_per_step == pytest.approx(np.median(times[-20:]), rel=0.05)
    assert evaluate(state, 1.0) == ()


def told(records: Iterator[dict[str, Any]], total_steps: int) -> list[tuple[str, float]]:
    """What a replay of one rank's records finds: rules and the steps (one second each) at which they fired."""
    lines = (step(record.pop("step"), seq=seq + 1, **record) for seq, record in enumerate(records))
    rank = Told(0, "node", [decode(start(total_steps=total_steps) + b"".join(lines))])
    return [(past.alert.rule, past.fired - START_TS) for past in replay([rank])]


def test_no_rule_raises_a_false_alarm_over_a_real_json_log(folder: Path) -> None:
    records = [json.loads(text) for text in (folder / "openpi_train_log.jsonl").read_text().splitlines()]
    assert told(iter(records), 20_000) == []


def test_no_rule_raises_a_false_alarm_over_a_noisy_start(folder: Path) -> None:
    with (folder / "deepspeed_7b_baseline_loss.csv").open() as file:
        rows = [{"step": int(row["step"]), "loss": float(row["loss"])} for row in csv.DictReader(file)]
    assert told(iter(rows), 1_000) == []


def test_no_rule_raises_a_false_alarm_over_two_thousand_steps_of_uneven_length(folder: Path) -> None:
    content = json.loads((folder / "megatron_gpt3_tp2pp2_fp8_h100_golden.json").read_text())
    times = [float(value) for value in content["iteration-time"]["values"].values() if value != "nan"]
    losses = [float(value) for value in content["lm loss"]["values"].values()]
    stamps = (START_TS + np.cumsum(times)).tolist()
    records = [
        {"step": n + 1, "ts": ts, "loss": loss, "throughput": 1_000 / time, "step_time": time}
        for n, (ts, loss, time) in enumerate(zip(stamps, losses, times, strict=False))
    ]
    assert told(iter(records), 2_000) == []


def test_of_a_log_with_overflows_at_most_a_storm_is_told(folder: Path) -> None:
    lines = (folder / "deepspeed_sft_opt-1.3b-gbs128.log").read_text(errors="replace").splitlines()
    found = [re.search(r"step=(\d+), skipped=(\d+), lr=", line) for line in lines]
    records = [{"step": int(match[1]), "metrics": {"skipped": int(match[2])}} for match in found if match]
    assert len(records) > 700
    assert {rule for rule, _ in told(iter(records), 7_360)} <= {"overflow_storm"}
