"""A diagnosis over real nodes, one of them frozen: the others are told in full, that one as it was copied."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from tests.act.diagnosing import alive, hanging, write_log
from tests.faults.lab import Lab, node
from tests.writing import wait_until
from ugro_tui import exits


def test_two_nodes_hang_and_one_is_frozen(lab: Lab, tmp_path: Path) -> None:
    machines = [lab.fleet.add(), lab.fleet.add(), lab.fleet.add()]
    with ExitStack() as ranks:
        for rank, (machine, phase) in enumerate(zip(machines, ("backward", "data", "backward"), strict=True)):
            ranks.enter_context(hanging(machine.metrics, rank, 3, phase, signal=rank < 2))
            write_log(machine.metrics, rank, f"rank {rank} printed this\n")
        agent = lab.watch()
        log = tmp_path / "central" / "jobs" / "job" / "logs" / "n3" / "rank_2.log"

        def all_there() -> bool:
            view = agent.feed.snapshot().job("job")
            rules = [] if view is None else [alert.rule for alert in view.summary.alerts]
            return view is not None and view.summary.ranks_seen == 3 and rules == ["job_hang"] and log.exists()

        wait_until(all_there)
        machines[2].freeze()
        wait_until(lambda: not node(agent, "n3").state.reached)
        bundle = agent.bundle("job")
        wait_until(lambda: node(agent, "n1").age < 2)  # it is polled on: the diagnosis has connections of its own
    assert bundle.path.parent == tmp_path / "central" / "jobs" / "job" / "diagnosis"
    assert list(bundle.failed) == ["n3"]
    assert exits.of_diagnosis(bundle) == exits.PARTIAL
    text = bundle.report.read_text()
    assert "- rank 1 stands in `load_batch (<string>:" in text
    assert "- rank 0 stands in `all_reduce (<string>:" in text
    assert "| n3 | no |" in text
    assert "rank 2 printed this" in text
    for rank, copied in enumerate((False, False, True)):
        folder = bundle.path / f"rank_{rank}"
        assert (folder / "log.txt").read_text() == f"rank {rank} printed this\n"
        assert json.loads((folder / "heartbeat.json").read_text())["step"] == 19
        assert ("(copied)" in text.partition(f"### Rank {rank}")[2].partition("###")[0]) == copied
    assert {path.name for path in (bundle.path / "nodes").iterdir()} == {"n1", "n2", "n3"}


def test_a_node_that_runs_nothing_for_us_is_told_from_its_copies(lab: Lab) -> None:
    machine = lab.add_sftp()
    with hanging(machine.metrics, signal=True) as pid:
        write_log(machine.metrics, 0, "printed\n")
        agent = lab.watch()
        log = lab.central / "jobs" / "job" / "logs" / "n1" / "rank_0.log"
        wait_until(lambda: agent.feed.snapshot().job("job") is not None and log.exists())
        bundle = agent.bundle("job")
        assert alive(pid)
    assert bundle.failed == {"n1": "n1: it runs no Python >= 3.6 for us"}
    assert exits.of_diagnosis(bundle) == exits.NONE_REACHED
    assert (bundle.path / "rank_0" / "log.txt").read_text() == "printed\n"
    assert "- stacks of rank 0: its node did not tell" in bundle.report.read_text()
