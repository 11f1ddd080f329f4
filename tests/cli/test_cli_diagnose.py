"""`ugro-tui diagnose`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.act.diagnosing import hanging
from tests.cli.support import Call
from tests.sshd import Fleet, fleet
from tests.writing import Clock, whole_job

__all__ = ["fleet"]


def test_a_job_on_this_machine(call: Call, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    code, out, err = call("diagnose", "job")
    assert (code, err) == (0, "")
    verdict, looked, report = out.splitlines()
    assert verdict == "stepping"
    assert looked == "looked at closely: rank 0"
    assert Path(report).read_text().startswith("# Job job\n")
    code, out, err = call("diagnose", "job", "--json")
    told = json.loads(out)
    assert (code, told["suspects"], told["failed"], told["asked"]) == (0, [0], {}, 1)
    assert Path(told["report"]).parent == Path(told["path"])
    assert Path(told["path"]).is_dir()


def test_a_job_in_trouble_is_no_failure_of_the_command(call: Call, root: Path) -> None:
    with hanging(root):
        code, out, err = call("diagnose", "job")
    assert (code, err) == (0, "")
    assert out.startswith("rank stalled: rank 0")


def test_there_is_no_such_job(call: Call, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    code, out, err = call("diagnose", "other")
    assert (code, out) == (2, "")
    assert "no job other" in err
    assert call("diagnose", "../job")[0] == 2
    assert not (root / "job" / "diagnosis").exists()


def test_nodes_that_are_away(call: Call, fleet: Fleet, clock: Clock, tmp_path: Path) -> None:
    machines = [fleet.add(), fleet.add()]
    for rank, machine in enumerate(machines):
        whole_job(machine.metrics / "job", clock, 2)[1 - rank].metrics.unlink()
        (machine.metrics / "job" / f"heartbeat.rank-{1 - rank}.json").unlink()
    options = ("--nodes", "n1,n2", "--ssh-config", str(fleet.ssh_config), "--central", str(tmp_path / "central"))
    code, out, err = call("diagnose", "job", *options)
    assert (code, err) == (0, "")
    assert str(tmp_path / "central" / "jobs" / "job" / "diagnosis") in out
    machines[1].stop()
    code, out, err = call("diagnose", "job", *options)
    assert code == 4
    assert "ugro-tui: n2: " in err
    assert Path(out.splitlines()[-1]).exists()
    machines[0].stop()
    code, out, err = call("diagnose", "job", *options)
    assert code == 3
    assert "ugro-tui: n1: " in err
    assert Path(out.splitlines()[-1]).exists()  # from the copies
