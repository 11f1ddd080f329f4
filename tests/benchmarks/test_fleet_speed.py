"""What connections, large files and many nodes cost, over a real sshd, against what one would take instead."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.benchmarks.node_costs import (
    JOB,
    Ours,
    RealClock,
    cpu_during,
    cpu_of_machine,
    make_node,
    stock_client,
)
from tests.proxy import FaultProxy
from tests.sshd import Fleet, Machine, fleet
from ugro_tui.collect.place import Place

__all__ = ["fleet"]

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]
MANY = ("MaxStartups 1000:30:2000", "MaxSessions 1000")


def through(fleet: Fleet, machine: Machine, proxy: FaultProxy) -> str:
    """An alias of the machine that leads through the proxy."""
    with fleet.ssh_config.open("a") as stream:
        stream.write(
            f"Host via\n  HostName 127.0.0.1\n  Port {proxy.port}\n  User {fleet.user}\n  IdentityFile {fleet.key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {fleet.known_hosts}\n  HostKeyAlias {machine.address}\n"
        )
    return "via"


def test_ten_kilobytes_on_a_large_file_move_hardly_more_than_themselves(fleet: Fleet) -> None:
    """<= 1.03 x the new bytes, both directions, on a file of 200 MB."""
    machine = fleet.add()
    folder = machine.metrics / JOB
    folder.mkdir()
    path = folder / "metrics.jsonl"
    path.write_bytes(os.urandom(1 << 20) * 200)
    with FaultProxy((machine.host, machine.port)) as proxy:
        ours = Ours(make_node(fleet, through(fleet, machine, proxy), machine.metrics))
        content = path.read_bytes()
        ours.knows("metrics.jsonl", Place(len(content), content[:512], content[-512:]), "")
        ours.drain()
        before, trips = proxy.up.bytes + proxy.down.bytes, proxy.round_trips
        for _ in range(20):
            with path.open("ab") as stream:
                stream.write(os.urandom(10_000))
            assert ours.poll() == 10_000
        moved = (proxy.up.bytes + proxy.down.bytes - before) / 200_000
        print(f"\n+10 kB on 200 MB: {moved:.3f} x the new bytes, {(proxy.round_trips - trips) / 20:.2f} round trips")
        ours.close()
    assert moved <= 1.03


def test_idle_connections_cost_a_fifth_of_stock_ones(fleet: Fleet) -> None:
    """<= 1/5 of the CPU of as many stock transports, each with a channel that waits."""
    machine = fleet.add(*MANY)
    (machine.metrics / JOB).mkdir()
    seconds, count = 10.0, 20
    nodes = [Ours(make_node(fleet, machine.name, machine.metrics)) for _ in range(count)]
    for node in nodes:
        node.poll()
    mine = cpu_during(lambda: threading.Event().wait(seconds))
    for node in nodes:
        node.close()
    clients = [stock_client(fleet, machine) for _ in range(count)]
    for client in clients:
        client.open_sftp()
    stock = cpu_during(lambda: threading.Event().wait(seconds))
    for client in clients:
        client.close()
    print(f"\n{count} idle connections: ours {mine / seconds:.5f}, stock {stock / seconds:.5f} of a core")
    assert mine <= stock / 5


def test_a_first_sync_of_many_small_files_costs_less_than_rsync(fleet: Fleet, tmp_path: Path) -> None:
    """<= 0.6 x rsync's CPU, both sides, for 1,000 event files of 4 kB: RemoteNode and Mirror against rsync -a."""
    if shutil.which("rsync") is None:
        pytest.skip("rsync is missing (Debian: apt-get install rsync)")
    machine = fleet.add(*MANY)
    for number in range(1000):
        path = machine.metrics / JOB / "tensorboard" / f"rank_{number}" / "events.out.tfevents.1.host.2.0"
        path.parent.mkdir(parents=True)
        path.write_bytes(os.urandom(4096))
    ratios = []
    for turn in range(5):
        mine = sync_by_us(fleet, machine, tmp_path / f"ours-{turn}")
        theirs = sync_by_rsync(fleet, machine, tmp_path / f"theirs-{turn}")
        ratios.append(mine / theirs)
        print(f"\nfirst sync of 1,000 x 4 kB: ours {mine:.3f} s, rsync {theirs:.3f} s of CPU", end="")
    print(f"\nratios {', '.join(f'{ratio:.2f}' for ratio in sorted(ratios))}")
    assert sorted(ratios)[2] <= 0.6


def sync_by_us(fleet: Fleet, machine: Machine, into: Path) -> float:
    """CPU seconds, both sides."""
    from ugro_tui.collect.mirror import Mirror
    from ugro_tui.core.layout import FileKind, classify
    from ugro_tui.nodes.base import Ask, Known

    node, mirror = make_node(fleet, machine.name, machine.metrics), Mirror(into, "n1", RealClock())
    node.poll(Ask())  # rsync's side connects too, but its CPU time of that is its own
    before = cpu_of_machine(machine)
    known: dict[str, Known] = {}

    def sync() -> None:
        more, places = True, dict[str, Place]()
        while more:
            reply = node.poll(Ask({JOB: dict(known)}, frozenset({FileKind.EVENTS})))
            for chunk in reply.chunks:
                file = classify(chunk.path)
                assert file is not None
                mirror.append(JOB, file, chunk.offset, chunk.data, chunk.age)
                place = places.setdefault(chunk.path, Place())
                place.extend(chunk.data)
                known[chunk.path] = Known(place.offset, place.digest, chunk.stamp)
            more = reply.more

    mine = cpu_during(sync)
    total = mine + cpu_of_machine(machine) - before
    node.close()
    assert sum(1 for path in into.rglob("events*")) == 1000
    return total


def sync_by_rsync(fleet: Fleet, machine: Machine, into: Path) -> float:
    """CPU seconds, both sides."""
    before, children = cpu_of_machine(machine), resource.getrusage(resource.RUSAGE_CHILDREN)
    ssh = f"ssh -F {fleet.ssh_config}"
    source = f"{machine.name}:{machine.metrics}/{JOB}/tensorboard/"
    subprocess.run(["rsync", "-a", "-e", ssh, source, f"{into}/"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    client = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    assert sum(1 for path in into.rglob("events*")) == 1000
    return client + cpu_of_machine(machine) - before


def test_two_hundred_and_fifty_six_nodes_every_five_seconds(fleet: Fleet, tmp_path: Path) -> None:
    """<= 10 % of a core, <= 90 MiB more than at rest; CPU a poll <= 1.2 x that of 16 nodes."""
    machine = fleet.add(*MANY)
    few, many = (watched(fleet, machine, count, tmp_path / str(count)) for count in (16, 256))
    for told in (few, many):
        print(
            f"\n{told['nodes']:.0f} nodes: {100 * told['core']:.2f} % of a core, {told['mib']:.1f} MiB, "
            f"{1000 * told['a_poll']:.3f} ms a poll, {told['polls']:.0f} polls",
            end="",
        )
    assert many["core"] <= 0.10
    assert many["mib"] <= 90
    assert many["a_poll"] <= 1.2 * few["a_poll"]


def watched(fleet: Fleet, machine: Machine, count: int, folder: Path) -> dict[str, float]:
    """What an application of its own process spends on `count` nodes, each with a rank that writes."""
    arguments = [str(fleet.ssh_config), machine.name, str(folder), str(count)]
    program = [sys.executable, "-m", "tests.benchmarks.watcher", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told
