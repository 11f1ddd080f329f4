"""The command `rank`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.support import Call
from tests.writing import Clock, RankWriter, whole_job


def two(root: Path, clock: Clock) -> RankWriter:
    """Two ranks; the second one is given."""
    return whole_job(root / "job", clock, ranks=2)[1]


def test_a_rank_is_explained_in_words_and_as_json(call: Call, root: Path, clock: Clock) -> None:
    two(root, clock)
    code, out, err = call("rank", "job", "1")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "rank       1 of job (world size 2)"
    assert lines[1].startswith("state      running: its last step was ")
    assert "records    20" in lines
    table = [line.split() for line in lines[lines.index("") + 1 :]]
    assert table[:2] == [["NUMBER", "OWN", "OTHERS'", "MEDIAN"], ["step", "20", "20"]]
    found = json.loads(call("rank", "job", "1", "--json")[1])
    assert (found["rank"], found["state"], found["counts"]["records"]) == (1, "running", 20)
    assert found["numbers"]["throughput"]["own"] == 101
    assert found["numbers"]["throughput"]["median"] == 100
    assert found["phases"] == {}


def test_a_rank_that_failed_is_explained_with_exit_code_1(call: Call, root: Path, clock: Clock) -> None:
    two(root, clock).end("failed", error={"type": "ValueError", "message": "no such shard"})
    code, out, _ = call("rank", "job", "1")
    assert code == 1
    assert "state      dead: ValueError: no such shard" in out
    assert "crit  rank error  ValueError: no such shard" in out


def test_a_rank_that_there_is_not(call: Call, root: Path, clock: Clock) -> None:
    two(root, clock)
    code, _, err = call("rank", "job", "2")
    assert (code, err) == (2, "ugro-tui: job job has no rank 2: its world size is 2, so they are 0 to 1\n")
    assert call("rank", "nosuch", "0")[0] == 2
    assert call("rank", "job", "one")[0] == 2
