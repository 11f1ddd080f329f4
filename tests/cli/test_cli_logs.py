"""`ugro-tui logs`: what it prints of logs that are there, on this machine and on nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import Begin, Call, ended
from tests.sshd import Fleet, fleet
from tests.writing import Clock, whole_job
from ugro_tui.cli_logs import Printer
from ugro_tui.core.log_lines import LineReader

__all__ = ["fleet"]

TRACE = "Traceback (most recent call last):\n  File x\nValueError: no\n"


def write(job: Path, rank: int, text: str) -> None:
    path = job / "logs" / f"rank_{rank}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        stream.write(text)


def test_all_ranks_are_one_text_without_escapes(call: Call, root: Path) -> None:
    for rank in range(4):
        write(root / "job", rank, f"\x1b[31mhello\x1b[0m \x1b[2J\n[rank{rank}]: mine {rank % 2}\nhalf")
    code, out, err = call("logs", "job")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "ranks 0-3: hello ␛[2J", "ranks 0,2: mine 0", "ranks 1,3: mine 1", "ranks 0-3: half"
    ]  # fmt: skip
    assert call("logs", "job", "--rank", "2", "--lines", "1")[1].splitlines() == ["mine 0", "half"]
    assert call("logs", "job", "--rank", "9") == (
        2, "", "ugro-tui: no log of rank 9: there are those of ranks 0, 1, 2, 3\n"
    )  # fmt: skip


def test_json_has_an_object_a_line(call: Call, root: Path) -> None:
    write(root / "job", 0, "2026-05-16 09:00:00,500 ERROR boom\n[rank0]: plain\n")
    code, out, _ = call("logs", "job", "--json")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"ranks": [0], "level": "error", "ts": 1778922000.5, "text": "2026-05-16 09:00:00,500 ERROR boom"},
        {"ranks": [0], "level": None, "ts": None, "text": "plain"},
    ]


def test_errors_are_told_alone_and_the_first_one_however_old(
    call: Call, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BUDGET", "LEAST"):
        monkeypatch.setattr(f"ugro_tui.collect.logs.{name}", 4_096)
    write(root / "job", 0, "ERROR: first\n" + "all is well\n" * 90_000 + TRACE + "well\n")
    code, out, err = call("logs", "job", "--errors")
    assert (code, err) == (0, "")
    assert out == "".join(f"rank 0: {line}\n" for line in ["ERROR: first", *TRACE.splitlines()])
    code, out, err = call("logs", "job")
    assert out.startswith("rank 0: all is well\n")
    assert err == "ugro-tui: 1.0 MiB before this are not shown: they are in the files below logs/\n"


def test_the_cause_is_told_before_what_follows_from_it(call: Call, root: Path) -> None:
    write(root / "job", 0, "step 1\nTraceback (most recent call last):\nRuntimeError: Connection closed by peer\n")
    write(root / "job", 1, "step 1\n" + TRACE)
    told = [f"rank 1: {line}" for line in TRACE.splitlines()]
    told += ["rank 0: Traceback (most recent call last):", "rank 0: RuntimeError: Connection closed by peer"]
    assert call("logs", "job", "--errors") == (0, "".join(f"{line}\n" for line in told), "")


def test_what_is_not_there_is_said_with_what_to_do(call: Call, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    code, out, err = call("logs", "job")
    assert (code, out) == (1, "")
    assert err.startswith("ugro-tui: no logs: write stdout and stderr of each rank N to logs/rank_N.log")
    code, out, err = call("logs", "other")
    assert (code, out) == (2, "")
    assert "no job other in" in err


def test_it_follows_until_the_job_has_ended(begin: Begin, root: Path, clock: Clock, home: Path) -> None:
    settings = home / ".config" / "ugro-tui" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("refresh = 0.2\n")
    (writer,) = whole_job(root / "job", clock)
    write(root / "job", 0, "first\n")
    process = begin("logs", "job", "-f")
    assert process.stdout is not None
    assert process.stdout.readline() == "rank 0: first\n"
    write(root / "job", 0, "second\nlast")
    assert process.stdout.readline() == "rank 0: second\n"
    writer.end()
    assert ended(process) == (0, "rank 0: last\n", "")


def test_logs_of_nodes_are_copied_first(call: Call, fleet: Fleet, clock: Clock, tmp_path: Path) -> None:
    machines = [fleet.add(), fleet.add()]
    for rank, machine in enumerate(machines):
        whole_job(machine.metrics / "job", clock, 2)[1 - rank].metrics.unlink()
        (machine.metrics / "job" / f"heartbeat.rank-{1 - rank}.json").unlink()
        write(machine.metrics / "job", rank, f"hello\nmine {rank}\n")
    options = ("--nodes", "n1,n2", "--ssh-config", str(fleet.ssh_config), "--central", str(tmp_path / "central"))
    code, out, err = call("logs", "job", *options)
    assert (code, err) == (0, "")
    assert out.splitlines() == ["ranks 0-1: hello", "rank 0: mine 0", "rank 1: mine 1"]
    machines[1].stop()
    write(machines[0].metrics / "job", 0, "more\n")
    code, out, err = call("logs", "job", *options)
    assert code == 4
    assert out.splitlines()[-2:] in (["rank 1: mine 1", "rank 0: more"], ["rank 0: more", "rank 1: mine 1"])
    assert "n2" in err


def test_a_terminal_gets_the_colours_of_the_log() -> None:
    (line,) = LineReader(0).read(["[rank0]: a \x1b[1;31mred\x1b[0m"])
    printed = Printer(one=True, as_json=False, errors=False)
    assert [*printed.texts([line])] == ["a red"]
    printed.coloured = True
    assert [*printed.texts([line])] == ["a \x1b[1;38;5;1mred\x1b[0m"]
