"""How machines are: this one, and others behind a real sshd; GPUs by stand-ins, since no machine for tests has any."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes.puppet import Puppet, jobs_below
from tests.nodes.test_nodes_sshd import real
from tests.sshd import Fleet, Machine, shared_fleet
from tests.writing import Clock, as_ordinary_user, clean_environment, now_clock, wait_until
from ugro_tui.core.health import GpuHealth, NodeHealth
from ugro_tui.core.health_facts import told
from ugro_tui.nodes import bootstrap, helper_gpus, helper_health
from ugro_tui.nodes.base import Ask, NodeSilent
from ugro_tui.nodes.helper_files import Shelves
from ugro_tui.nodes.helper_frame import answered
from ugro_tui.nodes.local import LocalNode
from ugro_tui.nodes.remote import RemoteNode
from ugro_tui.nodes.sftp_health import cpus_in

__all__ = ["shared_fleet"]

REPOSITORY = Path(__file__).resolve().parents[2]
LONG = 30.0
H100 = "GPU-a H100 97 40960 71 90 650 700 4 0 0\n"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalNode]:
    node = LocalNode(tmp_path, now_clock().time)
    yield node
    node.close()


def settled(node: LocalNode | RemoteNode) -> NodeHealth:
    """The node's health when all of its parts have answered."""
    found: list[NodeHealth] = []

    def whole() -> bool:
        found.append(node.health())
        return not found[-1].late

    wait_until(whole, LONG)
    return found[-1]


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stand-in for NVML, and beside it the file `gpus` that it reads."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the stand-in for NVML cannot be built (Debian: apt-get install gcc libc6-dev)")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("nvml_stand_in.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder


@pytest.fixture(scope="module")
def gpu_machine(shared_fleet: Fleet, nvml: Path) -> Machine:
    machine = shared_fleet.add(env={"LD_LIBRARY_PATH": str(nvml), "NVML_STAND_IN": str(nvml / "gpus")})
    machine.metrics.joinpath("job").mkdir()
    return machine


def on(shared_fleet: Fleet, machine: Machine, nvml: Path, rows: str) -> NodeHealth:
    """What the machine says while its GPUs are these."""
    (nvml / "gpus").write_text(rows)
    node = real(shared_fleet, machine)
    try:
        return settled(node)
    finally:
        node.close()


def test_this_machine_tells_of_itself(local: LocalNode, tmp_path: Path) -> None:
    health = settled(local)
    disk = os.statvfs(tmp_path)
    metrics = health.disk("metrics")
    assert metrics is not None
    assert (metrics.path, metrics.total) == (str(tmp_path), disk.f_blocks * disk.f_frsize)
    assert health.disk("home") is not None
    assert health.cpus == os.cpu_count()
    assert not any(math.isnan(mean) for mean in health.load)
    assert health.memory_total is not None
    assert health.memory_available is not None
    assert 0 < health.memory_available < health.memory_total
    assert (health.latency, health.clock_offset) == (0.0, 0.0)


def test_a_directory_that_does_not_exist_yet_has_the_disk_that_it_will_be_on(tmp_path: Path) -> None:
    assert helper_health.disk(str(tmp_path / "jobs" / "new"))["path"] == str(tmp_path)


def test_processes_of_jobs_are_told_and_what_a_rank_starts_is_not(local: LocalNode) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    env = {**os.environ, "UGRO_JOB_ID": "health-test", "RANK": "3"}
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def mine() -> list[tuple[int | None, int, str]]:
            found = [one for one in settled_anew(local).processes if one.job_id == "health-test"]
            assert all(one.rss and one.cpu >= 0.0 for one in found)
            return [(one.rank, one.pid, one.state) for one in found]

        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: children.read_text().strip(), LONG)
        assert [(rank, pid) for rank, pid, _ in mine()] == [(3, process.pid)]
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: mine() == [(3, process.pid, "T")], LONG)
        process.send_signal(signal.SIGCONT)
    assert mine() == []


BEATS = """
import sys
from ugro_emitter import MetricsEmitter
with MetricsEmitter("named-in-the-script", sys.argv[1], 5):
    input()
"""


def test_processes_are_found_by_their_heartbeats_where_the_script_names_the_job(
    local: LocalNode, tmp_path: Path
) -> None:
    env = clean_environment(tmp_path, PYTHONPATH=str(REPOSITORY / "emitter"))
    job = tmp_path / "named-in-the-script"

    def mine() -> list[tuple[str, int | None, int]]:
        found = [(one.job_id, one.rank, one.pid) for one in settled_anew(local).processes]
        return [one for one in found if one[0].endswith("in-the-script")]

    with subprocess.Popen(["python3", "-c", BEATS, str(tmp_path)], env=env, stdin=subprocess.PIPE) as process:
        path = job / "heartbeat.rank-5.json"
        wait_until(path.exists, LONG)
        assert mine() == [("named-in-the-script", 5, process.pid)]
        beat = json.loads(path.read_text())
        other = tmp_path / "other-in-the-script"
        other.mkdir()
        (tmp_path / "secret").mkdir(0)
        wrong: list[dict[str, Any]] = [
            {"pid_start": 1},
            {"boot_id": "other"},
            {"pid_ns": "1"},
            {"pid": "x"},
            {"pid": 1},
        ]
        for rank, change in enumerate(wrong):
            (other / f"heartbeat.rank-{rank}.json").write_text(json.dumps({**beat, **change}))
        (other / "heartbeat.rank-7.json").symlink_to(path)
        (other / "heartbeat.rank-8.json").write_text("[" * 5000)
        os.mkfifo(other / "heartbeat.rank-9.json")
        assert mine() == [("named-in-the-script", 5, process.pid)]
        with as_ordinary_user():
            assert len(helper_health.named(str(tmp_path), [])) == 3  # of processes that are not looked at yet
        assert helper_health.named(str(tmp_path), [job.name, other.name]) == {}
        os.utime(job, (0, 0))
        assert mine() == []  # not changed lately
        process.communicate(b"\n", LONG)
    assert mine() == []


def test_a_heartbeat_tells_more_of_a_job_than_the_variable_of_torchrun(local: LocalNode, tmp_path: Path) -> None:
    env = clean_environment(tmp_path, PYTHONPATH=str(REPOSITORY / "emitter"), TORCHELASTIC_RUN_ID="a-run", RANK="5")
    with subprocess.Popen(["python3", "-c", BEATS, str(tmp_path)], env=env, stdin=subprocess.PIPE) as process:
        wait_until((tmp_path / "named-in-the-script" / "heartbeat.rank-5.json").exists, LONG)
        found = [(one.job_id, one.rank) for one in settled_anew(local).processes if one.pid == process.pid]
        assert found == [("named-in-the-script", 5)]
        process.communicate(b"\n", LONG)


def settled_anew(node: LocalNode) -> NodeHealth:
    node._parts.clear()
    return settled(node)


def test_a_part_that_hangs_holds_nothing_up_and_is_not_begun_again() -> None:
    release, begun = threading.Event(), []

    def hang() -> str:
        begun.append(1)
        release.wait(LONG)
        return "at last"

    parts = {"gpus": helper_health.Part(hang), "metrics": helper_health.Part(lambda: {"total": 1})}
    for _ in range(3):
        words = helper_health.tell(parts, 0.01, 0.0)
        assert words["parts"]["gpus"]["late"] is not None
    wait_until(lambda: helper_health.tell(parts, 0.01, 0.0)["parts"]["metrics"]["value"] == {"total": 1}, LONG)
    assert begun == [1]
    assert told("n1", words).late[0].part == "GPUs"
    release.set()
    wait_until(lambda: helper_health.tell(parts, 0.01, LONG)["parts"]["gpus"]["value"] == "at last", LONG)


def test_what_fails_says_why() -> None:
    def stale() -> None:
        raise OSError(116, "Stale file handle")

    parts = {"home": helper_health.Part(stale)}
    assert told("n1", helper_health.tell(parts, LONG, 0.0)).unknown == ("home directory: Stale file handle",)


def test_what_was_found_a_moment_ago_is_told_again() -> None:
    looks: list[int] = []
    parts = {"metrics": helper_health.Part(lambda: looks.append(1))}
    for _ in range(3):
        helper_health.tell(parts, LONG, LONG)
    assert looks == [1]
    helper_health.tell(parts, LONG, 0.0)
    assert looks == [1, 1]


TOOL = """#!/bin/sh
# A double of nvidia-smi, for machines without a GPU: knows the fields of an old driver only.
case "$1" in
*throttle*) echo 'Field "clocks_throttle_reasons.active" is not a valid field to query.'; exit 2 ;;
esac
echo '0, GPU-a, Tesla K80, 12, 100, 11441, 45, 60.25'
echo '1, GPU-b, Tesla K80, [N/A], [GPU is lost], [GPU is lost], [N/A], [N/A]'
"""


def tool(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `text` as the only nvidia-smi, and no NVML."""
    (folder / "nvidia-smi").write_text(text)
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_without_the_library_nvidia_smi_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, TOOL, monkeypatch)
    health = told("n1", {"parts": {"gpus": {"value": helper_gpus.gpus()}}})
    first = GpuHealth(0, "GPU-a", "Tesla K80", 12.0, 100 << 20, 11441 << 20, temp=45.0, power=60.25)
    assert health.gpus == (first, GpuHealth(1, "GPU-b", "Tesla K80", lost=True))
    assert (health.gpus_known, health.gpu_error) == (True, "")


def test_all_fields_of_nvidia_smi_are_understood() -> None:
    line = "0, GPU-a, H100, 97, 40960, 81559, 71, 650.11, 700.00, 0x0000000000000044, 3, 1\n"
    health = told("n1", {"parts": {"gpus": {"value": {"gpus": list(helper_gpus.rows_of(line))}}}})
    assert health.gpus == (
        GpuHealth(
            0, "GPU-a", "H100", 97.0, 40960 << 20, 81559 << 20, 71.0, math.nan, 650.11, 700.0,
            ("sw_power_cap", "hw_thermal_slowdown"), 3, None, True,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "no rows", "x, y", "\x00" * 9, "0, a, b, c, d, e, f, g\n" * 999])
def test_whatever_nvidia_smi_prints_is_taken(text: str) -> None:
    rows = list(helper_gpus.rows_of(text))
    assert len(rows) <= helper_gpus.MAX_LISTED
    assert told("n1", {"parts": {"gpus": {"value": {"gpus": rows}}}}).gpus_known


def test_an_nvidia_smi_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path, f"#!/bin/sh\n# A double that hangs.\nsleep 1000 & echo $! > {tmp_path}/pid; wait\n", monkeypatch)
    monkeypatch.setattr(helper_gpus, "TOOL_SECONDS", 1.0)
    assert helper_gpus.gpus() == {"error": "nvidia-smi did not end within 1 s"}
    child = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    wait_until(lambda: not child.exists() or child.read_text().split()[2] == "Z", LONG)


def test_an_nvidia_smi_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "#!/bin/sh\n# A double that fails.\necho 'No devices were found'; exit 6\n", monkeypatch)
    assert helper_gpus.gpus() == {"error": "No devices were found"}


def test_gpus_are_asked_by_nvml_on_a_real_node(shared_fleet: Fleet, gpu_machine: Machine, nvml: Path) -> None:
    rows = H100 + "GPU-b H100 -3 512 88 90 300 700 72 2 1\n"
    health = on(shared_fleet, gpu_machine, nvml, rows)
    first, second = health.gpus
    assert health.gpus_known
    assert first == GpuHealth(
        0, "GPU-a", "H100", 97.0, 40960 << 20, 80 << 30, 71.0, 90.0, 650.0, 700.0, ("sw_power_cap",), 0, None, False
    )
    assert math.isnan(second.util)
    assert second.throttle == ("hw_slowdown", "hw_thermal_slowdown")
    assert (second.ecc, second.remap_failed, second.lost) == (2, True, False)
    assert 0.0 < health.latency < LONG
    assert abs(health.clock_offset) < 1.0


def test_a_gpu_that_is_lost_says_so(shared_fleet: Fleet, gpu_machine: Machine, nvml: Path) -> None:
    rows = "-15 x 0 0 0 0 0 0 0 0 0\nGPU-b H100 -15 -15 -15 -15 -15 -15 -15 -15 -15\n" + H100
    gone, going, well = on(shared_fleet, gpu_machine, nvml, rows).gpus
    assert (gone.index, gone.lost, gone.uuid) == (0, True, "")
    assert (going.uuid, going.lost) == ("GPU-b", True)
    assert not well.lost


def test_a_driver_that_is_at_fault_says_so(shared_fleet: Fleet, gpu_machine: Machine, nvml: Path) -> None:
    health = on(shared_fleet, gpu_machine, nvml, "!18\n")
    assert (health.gpu_error, health.gpus, health.gpus_known) == ("Driver/library version mismatch", (), False)


def test_an_nvml_that_never_returns_keeps_nothing_else(shared_fleet: Fleet, gpu_machine: Machine, nvml: Path) -> None:
    (nvml / "gpus").write_text("GPU-a H100 9999 1 1 1 1 1 0 0 0\n")
    node = real(shared_fleet, gpu_machine)
    for _ in range(2):
        health = node.health()
        assert [one.part for one in health.late] == ["GPUs"]
        assert [job.job_id for job in node.poll(Ask()).jobs] == ["job"]
    assert health.disk("metrics") is not None
    node.close()


def test_an_nvidia_smi_that_hangs_on_a_node_holds_up_no_poll_and_ends_with_the_connection(
    shared_fleet: Fleet, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n# A double that hangs.\necho $$ > {pid}; exec sleep 1000\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    machine = shared_fleet.add(env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    machine.metrics.joinpath("job").mkdir()
    node = real(shared_fleet, machine)
    wait_until(lambda: "GPUs" in [one.part for one in node.health().late] and pid.exists() and pid.read_text(), LONG)
    running = Path("/proc", pid.read_text().strip())
    assert [job.job_id for job in node.poll(Ask()).jobs] == ["job"]
    assert running.exists()  # so the poll has not waited for it
    node.close()
    wait_until(lambda: not running.exists(), LONG)


def test_a_node_without_gpus_has_no_fault(shared_fleet: Fleet) -> None:
    node = real(shared_fleet, shared_fleet.add())
    health = settled(node)
    node.close()
    assert (health.gpu_error, health.gpus_known) == ("", False)
    assert "GPUs: no NVIDIA driver" in health.unknown


def test_over_sftp_disks_load_and_memory_are_told(shared_fleet: Fleet) -> None:
    machine = shared_fleet.add("ForceCommand internal-sftp")
    node = real(shared_fleet, machine, str(machine.metrics))
    assert [job.job_id for job in node.poll(Ask()).jobs] == []
    health = node.health()
    node.close()
    disk = os.statvfs(machine.metrics)
    metrics, home = health.disk("metrics"), health.disk("home")
    assert metrics is not None
    assert (metrics.total, metrics.path) == (disk.f_blocks * disk.f_frsize, str(machine.metrics))
    assert home is not None
    assert home.inodes_free
    assert health.cpus == os.cpu_count()
    assert not any(math.isnan(mean) for mean in health.load)
    assert health.memory_available
    assert [what.partition(":")[0] for what in health.unknown] == ["processes of jobs", "GPUs"]
    assert health.gpu_error == ""


@pytest.mark.parametrize(
    ("text", "count"), [("0\n", 1), ("0-63\n", 64), ("0-3,8,10-11\n", 7), ("", None), ("all", None), ("9-1", None)]
)
def test_cpus_are_counted_in_the_kernels_list(text: str, count: int | None) -> None:
    assert cpus_in(text) == count


def puppet(tmp_path: Path) -> tuple[Puppet, RemoteNode]:
    clock = Clock()
    double = Puppet(clock)
    root = str(jobs_below(tmp_path))
    return double, RemoteNode("n1", root, double.connect, monotonic=clock.monotonic, time=clock.time)


def test_the_part_that_tells_of_health_is_sent_once(tmp_path: Path) -> None:
    double, node = puppet(tmp_path)
    node.poll(Ask())
    assert "part" not in double.requests[0]
    for _ in range(2):
        assert node.health().disk("metrics") is not None
    assert ["source" in request for request in double.requests] == [False, True, False]
    assert len(bootstrap.health_part()) < 16_000


def test_an_answer_that_comes_late_is_no_answer_to_the_next_question(tmp_path: Path) -> None:
    double, node = puppet(tmp_path)
    node.poll(Ask())
    double.carry = lambda frame: [(8.0, frame)]
    with pytest.raises(NodeSilent):
        node.health()
    double.carry = lambda frame: [(0.0, frame)]
    assert node.poll(Ask()).time > 0
    assert [request["op"] for request in double.requests] == ["poll", "health", "poll"]
    assert node.health().disk("metrics") is not None
    assert double.connected == 1


def test_a_part_that_fails_does_not_end_the_helper() -> None:
    shelves = Shelves([])
    reply, _ = answered(shelves, {"part": "health", "op": "health", "source": "1 +"})
    assert told("n1", reply).unknown[0].startswith("health: SyntaxError")
    reply, _ = answered(shelves, {"part": "unheard of", "op": "health"})
    assert told("n1", reply).unknown[0].startswith("health: KeyError")


@pytest.mark.parametrize("header", [[], "x", None, {"parts": 3}, {"parts": {"gpus": {"value": [1]}}, "took": "x"}])
def test_whatever_a_helper_says_of_its_health_the_node_is_read_on(tmp_path: Path, header: object) -> None:
    double, node = puppet(tmp_path)
    node.poll(Ask())
    said: Any = header
    double.bend = lambda _header, _data: (said, [])
    assert node.health().score == 100
    double.bend = lambda header, data: (header, data)
    assert node.poll(Ask()).time > 0
    assert double.connected == 1
    assert json.dumps(double.requests)
