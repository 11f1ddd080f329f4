"""`sync --prune`: shows first, removes what it was told to."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.cli.support import Call


@pytest.fixture
def old(home: Path) -> Path:
    """A copy of a job that has not changed for 40 days."""
    folder = home / "ugro_data" / "central" / "jobs" / "old"
    (folder / "metrics" / "n1").mkdir(parents=True)
    file = folder / "metrics" / "n1" / "metrics.jsonl"
    file.write_text("x" * 1500)
    then = time.time() - 40 * 86_400
    os.utime(file, (then, then))
    return folder


def test_without_yes_it_only_shows(call: Call, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    code, out, err = call("sync", "--prune")
    assert (code, err) == (0, "")
    assert [line.strip() for line in out.splitlines()] == [
        f"1.5 kB  {old}  (nothing of this job changed for 40 days)",
        "1 to remove, 1.5 kB",
        "nothing was removed: give --yes to remove them",
    ]
    assert json.loads(call("sync", "--prune", "--json")[1])["artifacts"][0]["removed"] is False
    assert old.exists()


def test_with_yes_it_removes(call: Call, old: Path) -> None:
    assert call("sync", "--prune", "--yes", "--older-than", "41")[1].startswith("nothing in ")
    assert call("sync", "--prune", "--yes")[1].splitlines()[-1] == "1 removed"
    assert not old.exists()


def test_as_json(call: Call, old: Path) -> None:
    found = json.loads(call("sync", "--prune", "--yes", "--json")[1])
    assert found["bytes"] == 1500
    assert [(row["path"], row["bytes"], row["removed"]) for row in found["artifacts"]] == [(str(old), 1500, True)]
    assert not old.exists()
