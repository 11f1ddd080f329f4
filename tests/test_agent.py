"""The Python API on real job directories."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ugro_emitter import MetricsEmitter

from tests.writing import Clock, finished_job, wait_until, whole_job
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.errors import BadInput, NoSource
from ugro_tui.nodes.base import Ask, NodeMissing, Reply
from ugro_tui.nodes.local import LocalNode


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    return folder


@pytest.fixture
def agent(root: Path, clock: Clock) -> Agent:
    return Agent(Config(root, refresh=3600.0), clock)


def test_a_summary_has_the_keys_that_users_rely_on(agent: Agent, root: Path, clock: Clock) -> None:
    finished_job(root / "job", clock, ranks=2, steps=20)
    with agent:
        summary = agent.get_job_summary("job")
    assert summary == json.loads(json.dumps(summary, allow_nan=False))
    expected = {
        "job_id": "job", "status": "finished", "attempt": 1, "step": 20, "total_steps": 100, "world_size": 2,
        "ranks_seen": 2, "ranks_ok": 2, "final_loss": 0.5, "min_loss": 0.5, "throughput": None, "avg_throughput": 201,
        "tokens": 2000, "age": 0, "eta": None, "alerts": [],
    }  # fmt: skip
    assert {key: summary[key] for key in expected} == expected
    assert (summary["seconds_per_step"], summary["avg_seconds_per_step"]) == (None, 1)
    assert math.isfinite(summary["duration"])
    ranks = summary["per_rank_stats"]
    assert list(ranks) == ["0", "1"]
    assert {key: ranks["1"][key] for key in ("node", "state", "step", "final_loss", "avg_throughput", "records")} == {
        "node": "node1", "state": "finished", "step": 20, "final_loss": 0.5, "avg_throughput": 101, "records": 20,
    }  # fmt: skip


def test_live_metrics_are_the_newest_of_each_rank(agent: Agent, root: Path, clock: Clock) -> None:
    writers = whole_job(root / "job", clock, ranks=2)
    with agent:
        assert agent.get_live_metrics("job")["step"] == 20
        clock.now += 3
        writers[1].steps(21, 22, lr=0.25, gpu={"util": 90.0})
        live = agent.get_live_metrics("job")
    assert live == json.loads(json.dumps(live, allow_nan=False))
    assert "per_rank_stats" not in live
    assert (live["status"], live["step"], live["phase"]) == ("running", 20, "")
    rank0, rank1 = live["ranks"]["0"], live["ranks"]["1"]
    assert (rank0["step"], rank0["lr"], rank0["step_age"]) == (20, None, 3)
    assert (rank1["step"], rank1["lr"], rank1["gpu_util"], rank1["step_age"]) == (22, 0.25, 90, 0)
    assert rank1["loss"] == 10 / 22
    assert (rank1["state"], rank1["node"]) == ("running", "node1")


def test_values_that_are_no_numbers_stay_json(agent: Agent, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    writer.steps(21, 21, loss="NaN", grad_norm="Infinity")
    with agent:
        live, summary = agent.get_live_metrics("job"), agent.get_job_summary("job")
    assert json.dumps([live, summary], allow_nan=False)
    assert (live["ranks"]["0"]["loss"], live["ranks"]["0"]["grad_norm"]) == (None, "Infinity")
    (alert,) = summary["alerts"]
    assert (alert["name"], alert["severity"], alert["rank"]) == ("non-finite loss", "crit", 0)


def test_skipped_lines_are_counted(agent: Agent, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    writer.raw(b"broken\n" * 3)
    writer.steps(21, 25)
    with agent:
        rank = agent.get_job_summary("job")["per_rank_stats"]["0"]
    assert (rank["skipped"], rank["records"], rank["step"]) == (3, 25, 25)


def test_the_emitter_itself_is_understood(agent: Agent, root: Path) -> None:
    with MetricsEmitter("real", root, rank=0, world_size=1, total_steps=3) as emitter:
        for step in (1, 2, 3):
            emitter.emit_step(step, loss=1 / step, lr=0.1, throughput=50.0, tokens=step * 10, mine=7.0)
    with agent:
        summary = agent.get_job_summary("real")
    assert (summary["status"], summary["step"], summary["total_steps"]) == ("finished", 3, 3)
    assert summary["per_rank_stats"]["0"]["final_loss"] == 1 / 3
    assert (summary["per_rank_stats"]["0"]["lost"], summary["per_rank_stats"]["0"]["dropped"]) == (0, 0)


def test_an_old_job_is_read_when_it_is_asked_for(agent: Agent, root: Path, clock: Clock) -> None:
    finished_job(root / "old", clock)
    clock.now += 90_000
    with agent:
        assert agent.look().listed == ("old",)
        assert agent.get_job_summary("old")["step"] == 20


@pytest.mark.parametrize("ask", [Agent.get_job_summary, Agent.get_live_metrics, Agent.job, Agent.follow])
@pytest.mark.parametrize("job_id", ["", "../up", "a/b", "-x", ".", "x" * 65, "two\nlines", "\x1b[31m"])
def test_what_is_no_job_id_is_refused(agent: Agent, ask: Callable[[Agent, str], Any], job_id: str) -> None:
    with agent, pytest.raises(BadInput, match=r"is not a job id: use 1 to 64 letters, digits") as caught:
        ask(agent, job_id)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ask", [Agent.get_job_summary, Agent.get_live_metrics, Agent.follow])
def test_an_unknown_job_is_refused_with_those_there_are(
    agent: Agent, root: Path, clock: Clock, ask: Callable[[Agent, str], Any]
) -> None:
    with agent:
        with pytest.raises(BadInput, match=r"no job nope in .*jobs \(it holds no jobs\)"):
            ask(agent, "nope")
        for number in range(9):
            finished_job(root / f"job-{number}", clock, steps=1)
        with pytest.raises(BadInput, match=r"no job nope in .*\(jobs there: job-\d.*, …\): choose one of them"):
            ask(agent, "nope")


def test_a_job_without_records_says_so(agent: Agent, root: Path) -> None:
    (root / "empty").mkdir()
    with agent, pytest.raises(BadInput, match=r"job empty in .* has no records yet"):
        agent.get_job_summary("empty")


def test_without_a_metrics_directory_there_are_no_jobs(agent: Agent, root: Path) -> None:
    root.rmdir()
    with agent:
        assert agent.look().jobs == ()
        with pytest.raises(BadInput, match=r"does not exist yet: start a training script"):
            agent.get_job_summary("job")
        with pytest.raises(NodeMissing, match=r"does not exist yet"):
            agent.follow("job")


def test_what_was_learned_stays_readable_after_closing(agent: Agent, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    with agent:
        before = agent.get_job_summary("job")
    assert agent.get_job_summary("job") == before
    with pytest.raises(BadInput, match="no job nope"):
        agent.get_job_summary("nope")


def test_many_threads_may_ask_at_once(agent: Agent, root: Path, clock: Clock) -> None:
    for name in ("a", "b"):
        whole_job(root / name, clock)
    found: list[int] = []

    def ask(name: str) -> None:
        found.extend(agent.get_job_summary(name)["step"] for _ in range(10))

    with agent:
        threads = [threading.Thread(target=ask, args=(name,)) for name in "ab" * 8]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == [20] * 160


def test_following_reads_an_old_job_on_its_own(agent: Agent, root: Path, clock: Clock) -> None:
    finished_job(root / "old", clock)
    clock.now += 90_000
    agent.follow("old")
    with agent:
        wait_until(lambda: agent.feed.snapshot().job("old"))


def test_a_disk_that_does_not_answer_is_no_unknown_job(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, release = threading.Event(), threading.Event()

    node = agent.nodes[0]

    def hang(ask: Ask) -> Reply:
        asked.set()
        release.wait(60)
        return LocalNode.poll(node, ask)  # type: ignore[arg-type]

    monkeypatch.setattr(node, "poll", hang)
    with agent:
        assert asked.wait(60)
        monkeypatch.setattr("ugro_tui.looks.FIRST_LOOK_SECONDS", 0.0)
        with pytest.raises(NoSource, match="was not read within 0 s: look at its disk"):
            agent.job("job")
        release.set()
