"""The headless commands over real nodes: one away, frozen, refused or locked, and what is said of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.cli.support import COMMAND, REPOSITORY, Begin, Call, ended
from tests.sshd import Fleet, Machine, make_key, shared_fleet
from tests.writing import Clock, RankWriter, as_ordinary_user, clean_environment, now_clock, wait_until
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.errors import NoSource, Partial

__all__ = ["shared_fleet"]

On: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def nodes(shared_fleet: Fleet) -> Fleet:
    """n1 and n2, with a job of two ranks each; n3 without a metrics directory; n4 whose host key is not known."""
    for machine in (shared_fleet.add(), shared_fleet.add()):
        rank = len(shared_fleet.machines) - 1
        logs = machine.metrics / "job" / "logs"
        logs.mkdir(parents=True)
        (logs / f"rank_{rank}.log").write_text("hello\n")
    shared_fleet.add()
    shared_fleet.add(known=False)
    return shared_fleet


@pytest.fixture
def both(nodes: Fleet) -> Iterator[list[Machine]]:
    """n1 and n2, up and with a job that runs; after the test they are up again, without it."""
    machines, clock = nodes.machines[:2], now_clock()
    for rank, machine in enumerate(machines):
        begin_rank(machine, rank, clock)
    yield machines
    for machine in machines:
        machine.thaw()
        machine.start() if not machine.processes() else None
        for file in (machine.metrics / "job").glob("*.json*"):
            file.unlink()


def begin_rank(machine: Machine, rank: int, clock: Clock) -> RankWriter:
    writer = RankWriter(machine.metrics / "job", rank, clock)
    writer.start(world_size=2, total_steps=100, host=machine.name)
    writer.steps(1, 20)
    writer.heartbeat(step=20)
    return writer


def end_rank(machine: Machine, rank: int) -> None:
    writer = RankWriter(machine.metrics / "job", rank, now_clock(), seq=21)
    writer.steps(21, 21)
    writer.end()


@pytest.fixture
def on(call: Call, nodes: Fleet) -> On:
    """Run the command line on the nodes of a list."""

    def run(names: str, *argv: str) -> tuple[int, str, str]:
        return call("--ssh-config", str(nodes.ssh_config), "--nodes", names, *argv)

    return run


def settings(nodes: Fleet, tmp_path: Path, names: str = "n1,n2") -> Config:
    return Config(nodes=(names,), ssh_config=nodes.ssh_config, central=tmp_path / "central")


@pytest.mark.usefixtures("both")
def test_all_nodes_together(on: On, home: Path) -> None:
    code, out, err = on("n1,n2", "status")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"JOB .*\njob +running +20/100 .* 2/2 .*\n", out)
    told = json.loads(on("n1,n2", "status", "--json")[1])
    assert [(node["name"], node["state"], node["error"]) for node in told["nodes"]] == [
        ("n1", "ok", ""),
        ("n2", "ok", ""),
    ]
    assert all(0 <= node["age"] < 30 for node in told["nodes"])
    code, out, err = on("n1,n2", "sync")
    assert (code, err) == (0, "")
    central = home / "ugro_data" / "central"
    assert out == f"n1  1 file, 6 B\nn2  1 file, 6 B\ncopied to {central}; see it with `ugro-tui tensorboard`\n"
    assert (central / "jobs" / "job" / "logs" / "n2" / "rank_1.log").read_text() == "hello\n"
    assert on("n1,n2", "sync", "job")[1] == "n1  nothing new\nn2  nothing new\n"


@pytest.mark.usefixtures("both")
def test_a_sync_as_json_tells_every_node(on: On, home: Path) -> None:
    code, out, err = on("n1,n4", "sync", "job", "--json")
    told = json.loads(out)
    assert (code, err) == (4, "")
    assert {key: told[key] for key in ("job_id", "what", "central")} == {
        "job_id": "job", "what": "tensorboard+logs", "central": str(home / "ugro_data" / "central"),
    }  # fmt: skip
    first, fourth = told["nodes"]
    assert first == {"node": "n1", "files": 1, "bytes": 6, "error": "", "denied": []}
    assert fourth["error"].startswith("n4: the host key of ")


def test_a_node_that_is_down_is_said_and_the_others_are_shown(on: On, both: list[Machine]) -> None:
    both[1].stop()
    code, out, err = on("n1,n2", "status")
    assert (code, err) == (4, "")
    assert re.search(r"^job +running .* 1/2 ", out, re.M)
    assert "n2: 127.0.0.1 port" in out
    assert "cannot be reached: Connection refused" in out
    code, out, err = on("n1,n2", "summary", "job")
    assert (code, out.splitlines()[-1].split()[:3]) == (4, ["0", "n1", "running"])
    assert (err.count("\n"), err.startswith("ugro-tui: n2: 127.0.0.1 port")) == (1, True)
    code, out, err = on("n1,n2", "sync")
    assert (code, err) == (4, "")
    assert re.search(r"^n2  failed: 127\.0\.0\.1 port \d+ cannot be reached", out, re.M)
    code, out, err = on("n1,n2", "summary", "nope")
    assert (code, out) == (4, "")
    assert re.match(
        r"ugro-tui: no job nope on the 1 of 2 nodes that could be read \(jobs there: job\); .*\n  n2: ", err
    )


def test_what_was_copied_of_a_node_that_is_down_is_shown(on: On, both: list[Machine]) -> None:
    assert on("n1,n2", "status")[0] == 0
    both[1].stop()
    code, out, _ = on("n1,n2", "summary", "job")
    assert (code, out.splitlines()[-1].split()[:4]) == (4, ["1", "n2", "unreachable", "20"])
    code, out, err = on("n2", "summary", "job")
    assert (code, err.startswith("ugro-tui: n2: ")) == (3, True)
    assert out.splitlines()[-1].split()[:4] == ["1", "n2", "unreachable", "20"]


def test_a_job_that_is_known_whole_needs_no_node(on: On, both: list[Machine]) -> None:
    for rank, machine in enumerate(both):
        end_rank(machine, rank)
    assert on("n1,n2", "status")[0] == 0
    both[1].stop()
    code, out, err = on("n1,n2", "summary", "job")
    assert (code, "finished" in out) == (0, True)
    assert "n2: " in err


def test_a_frozen_node_is_waited_for_once(on: On, both: list[Machine]) -> None:
    both[1].freeze()
    began = time.monotonic()
    code, out, _ = on("n1,n2", "sync")
    took = time.monotonic() - began
    assert (code, "n2  failed: connected, but no SSH server answers" in out) == (4, True)
    assert took < 13  # a connection may take 8 s


def test_no_node_at_all_is_code_3_with_a_line_for_each(on: On, nodes: Fleet) -> None:
    for argv in (("status",), ("summary", "job"), ("monitor", "job"), ("sync",), ("tensorboard",)):
        code, out, err = on("n4,n99", *argv)
        assert (code, out) == (3, ""), argv
        first, second, third = err.splitlines()
        assert first == "ugro-tui: none of the 2 nodes could be read:"
        assert second.startswith("  n4: the host key of ")
        assert f"then run `ssh -F {nodes.ssh_config} n4` once and accept it" in second
        assert third.startswith("  n99: there is no host n99: ")


@pytest.mark.usefixtures("both")
def test_a_node_without_a_metrics_directory_is_named_and_no_failure(on: On) -> None:
    for argv in (("status",), ("sync",)):
        code, out, err = on("n1,n3", *argv)
        assert (code, err) == (0, "")
        assert "does not exist yet on n3: start a training script that writes there" in out
    assert on("n3", "status")[0] == 0


def test_a_refused_key_says_what_was_tried(on: On, both: list[Machine]) -> None:
    accepted = both[1].authorized_keys.read_text()
    both[1].authorized_keys.write_text("")
    try:
        code, out, _ = on("n1,n2", "status")
    finally:
        both[1].authorized_keys.write_text(accepted)
    assert code == 4
    assert re.search(r"n2: the login as \S+ is refused: it accepts none of our keys \(tried: .*: see that `ssh ", out)


@pytest.fixture
def locked(nodes: Fleet, both: list[Machine], tmp_path: Path) -> Path:
    """SSH settings with which n2 wants a key that is encrypted."""
    key = make_key(tmp_path / "locked", passphrase="sesame")
    with both[1].authorized_keys.open("ab") as stream:
        stream.write(key.with_name("locked.pub").read_bytes())
    text = nodes.ssh_config.read_text()
    config = tmp_path / "config"
    before, after = text.split("Host n2\n")
    config.write_text(f"{before}Host n2\n{after.replace(str(nodes.key), str(key), 1)}")
    return config


def test_without_a_terminal_a_locked_key_names_ssh_add(call: Call, locked: Path) -> None:
    options = ("--ssh-config", str(locked), "--nodes", "n2")
    for argv in (("status",), ("sync",), ("monitor", "job")):
        code, out, err = call(*options, *argv)
        assert (code, out) == (3, "")
        assert f"n2: the key {locked.parent}/locked needs its passphrase: run `ssh-add {locked.parent}/locked`" in err
    code, out, _ = call(*options, "doctor")
    assert (code, f"    → run `ssh-add {locked.parent}/locked`" in out) == (3, True)


@pytest.mark.parametrize(
    ("argv", "typed", "shown"),
    [
        (("status",), "sesame", "2/2"),
        (("sync", "job"), "sesame", "n2  1 file, 6 B"),
        (("doctor",), "sesame", "✔ n2"),
        (("health",), "sesame", "n2  "),
        (("status",), "wrong", "needs its passphrase"),
    ],
)
def test_on_a_terminal_a_passphrase_is_asked_for_once(
    home: Path, locked: Path, argv: tuple[str, ...], typed: str, shown: str
) -> None:
    code, said = with_passphrase(home, typed, "--ssh-config", str(locked), "--nodes", "n1,n2", *argv)
    assert said.count("Passphrase of the key") == 1
    assert shown in said
    assert typed not in said
    assert code == (0 if typed == "sesame" else 4)


def with_passphrase(home: Path, typed: str, *argv: str) -> tuple[int, str]:
    """Run the command line on a pseudo-terminal of its own and type when it asks: exit code and all that was shown."""
    main_end, their_end = os.openpty()
    env = clean_environment(home, PYTHONPATH=str(REPOSITORY))
    env.pop("SSH_AUTH_SOCK", None)
    setsid = ["setsid", "--ctty", "--wait", *COMMAND, *argv]
    process = subprocess.Popen(setsid, stdin=their_end, stdout=their_end, stderr=their_end, env=env)
    os.close(their_end)
    said = b""
    try:
        while part := read(main_end):
            said += part
            if part.endswith(b": ") and b"Passphrase of the key" in said:
                os.write(main_end, typed.encode() + b"\n")
        return process.wait(30), said.decode()
    finally:
        process.kill()
        os.close(main_end)


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""


def test_monitor_says_once_that_a_node_goes_and_comes(begin: Begin, nodes: Fleet, both: list[Machine]) -> None:
    process = begin("monitor", "job", "-r", "0.3", "--ssh-config", str(nodes.ssh_config), "--nodes", "n1,n2")
    assert process.stdout is not None
    assert process.stderr is not None
    assert "ranks 2/2" in process.stdout.readline()
    both[1].stop()
    assert "n2: " in process.stderr.readline()
    both[1].start()
    assert process.stderr.readline() == "ugro-tui: n2 can be read again\n"
    for rank, machine in enumerate(both):
        end_rank(machine, rank)
    code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("job finished  step 21/100")


def test_monitor_does_not_wait_for_ever_for_a_node(
    on: On, both: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ugro_tui.monitor.AWAY_SECONDS", 1.0)
    assert on("n1,n2", "status")[0] == 0
    end_rank(both[0], 0)
    both[1].stop()
    code, out, err = on("n1,n2", "monitor", "job", "-r", "0.3")
    assert (code, "ranks 1/2" in out) == (4, True)
    assert err.splitlines()[-1].startswith("ugro-tui: job: all other ranks ended 1 s ago; how the 1 on n2 ended is not")


@pytest.mark.usefixtures("both")
def test_monitor_is_interrupted_cleanly_while_a_node_is_frozen(begin: Begin, nodes: Fleet, both: list[Machine]) -> None:
    both[1].freeze()
    before = set(both[0].processes())
    process = begin("monitor", "job", "--ssh-config", str(nodes.ssh_config), "--nodes", "n1,n2")
    wait_until(lambda: set(both[0].processes()) - before)  # it is at work
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "")


@pytest.mark.usefixtures("both")
def test_a_central_directory_that_cannot_be_written(on: On, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    where = ("--central", str(closed / "central"))
    with as_ordinary_user():
        code, out, err = on("n1,n2", "status", *where)
        assert (code, err) == (0, "")
        assert out.count("closed/central") == 1
        for argv in (("sync",), ("tensorboard",)):
            code, out, err = on("n1,n2", *argv, *where)
            assert (code, out) == (1, "")
            assert re.fullmatch(r"ugro-tui: \S+ cannot be locked: Permission denied: allow it .* with --central\n", err)
        code, out, _ = on("n1,n2", "doctor", *where)
    assert code == 1
    assert re.search(r"✖ central directory\n  ✖ central dir +\S+ cannot be locked: Permission denied\n    → allow", out)


@pytest.mark.usefixtures("both")
def test_beside_another_application(on: On, nodes: Fleet, tmp_path: Path) -> None:
    with Agent(settings(nodes, tmp_path)) as first:
        first.look()
        where = ("--central", str(tmp_path / "central"))
        code, out, err = on("n1,n2", "status", *where)
        assert (code, err) == (0, "")
        assert re.search(
            rf"^ugro-tui \(pid {os.getpid()} on .*\) writes .*central: this is what it has copied so", out, re.M
        )
        assert re.search(r"^job +running .* 2/2 ", out, re.M)
        code, out, err = on("n1,n2", "sync", *where)
        assert (code, out) == (1, "")
        assert "writes" in err
        assert err.endswith("and syncs by itself once a minute: press S there, or end it first\n")
        code, out, _ = on("n1,n2,n3", "status", *where)  # n3 is not watched by the first: it is asked
        assert "and does not watch n3: that is read without a copy" in out
        assert "does not exist yet on n3" in out


def test_doctor_tells_each_step(on: On, both: list[Machine]) -> None:
    both[1].stop()
    code, out, err = on("n1,n2,n3,n4", "doctor")
    assert (code, err) == (4, "")
    part = dict(re.findall(r"^[✔▲✖] (\S.*)\n((?:  .*\n)+)", out, re.M))
    assert list(part) == ["n1", "n2", "n3", "n4", "central directory"]
    names = ["settings", "reach", "host key", "login", "reading", "metrics dir", "clock", "disk", "inodes"]
    assert [line[4:].split("  ")[0] for line in part["n1"].splitlines() if "→" not in line] == names
    assert re.search(
        r"✔ settings +well\n  ✖ reach +127.* cannot be reached: Connection refused\n    → is sshd", part["n2"]
    )
    assert "▲ metrics dir" in part["n3"]
    assert re.search(
        r"✔ reach +well\n  ✖ host key +the host key of .* is in no known_hosts file\n    → compare", part["n4"]
    )
    assert out.endswith("\n4 nodes: 1 well, 1 to look at, 2 in trouble\n")


def test_doctor_as_json(on: On) -> None:
    code, out, _ = on("n4", "doctor", "--json")
    told = json.loads(out)
    assert code == 3
    (node,) = told["nodes"]
    assert (node["name"], node["grade"], node["reached"]) == ("n4", "fail", False)
    assert [check["name"] for check in node["checks"]] == ["settings", "reach", "host key"]
    assert set(node["checks"][-1]) == {"name", "grade", "found", "remedy"}
    assert (told["central"]["name"], told["central"]["checks"][0]["grade"]) == ("central directory", "ok")


def test_the_python_api_over_nodes(nodes: Fleet, both: list[Machine], tmp_path: Path) -> None:
    with Agent(settings(nodes, tmp_path)) as agent:
        assert [node["name"] for node in agent.get_status()["nodes"]] == ["n1", "n2"]
        assert {rank["node"] for rank in agent.get_live_metrics("job")["ranks"].values()} == {"n1", "n2"}
        assert agent.get_job_summary("job")["ranks_ok"] == 2
        assert [(node.node, node.bytes, node.error) for node in agent.sync("job").nodes] == [
            ("n1", 6, ""),
            ("n2", 6, ""),
        ]
    both[1].stop()
    with Agent(settings(nodes, tmp_path)) as agent:
        assert agent.get_job_summary("job")["per_rank_stats"]["1"]["state"] == "unreachable"
        with pytest.raises(Partial, match=r"no job nope on the 1 of 2 nodes .*\n  n2: "):
            agent.get_job_summary("nope")
    with Agent(settings(nodes, tmp_path, "n4")) as agent, pytest.raises(NoSource, match="n4: the host key"):
        agent.sync()


@pytest.mark.usefixtures("both")
def test_tensorboard_on_an_unknown_job_does_not_start(on: On) -> None:
    code, out, err = on("n1,n2", "tensorboard", "nope")
    assert (code, out) == (2, "")
    assert err.startswith("ugro-tui: no job nope in ~/ugro_data/jobs on n1,n2 (jobs there: job)")
