"""GPU statistics through the real pynvml and a compiled stand-in for NVML (nvml_double.c): no GPU is measured here."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ugro_emitter.nvml import FIELDS

from tests.emitter.support import read_records, run_script, steps_of

NOT_SUPPORTED, GPU_IS_LOST = -3, -15
ANSWERS = ("util", "mem", "temp", "power", "limit", "reasons", "ecc", "slowdown", "remap")
NULLS = dict.fromkeys(FIELDS)
HEALTHY = {
    "util": 97,
    "mem_used": 1000 << 20,
    "mem_total": 80 << 30,
    "temp": 61,
    "power": 300.0,
    "power_limit": 700.0,
    "throttle": ["sw_power_cap", "hw_thermal_slowdown"],
    "ecc": 2,
    "temp_slowdown": 90,
    "remap_failed": False,
    "lost": False,
}


@dataclass(frozen=True)
class Double:
    """The stand-in and the file that says what its GPUs do."""

    library: Path
    rows: Path

    def set(self, *rows: str) -> dict[str, str]:
        """GPUs as rows of nvml_double.c; returns the environment of a process that finds them."""
        self.rows.write_text("".join(f"{row}\n" for row in rows))
        return {"LD_LIBRARY_PATH": str(self.library.parent), "NVML_DOUBLE": str(self.rows)}


def gpu(number: int, name: str = "H100", **fields: int) -> str:
    """A row of nvml_double.c."""
    values = {"util": 97, "mem": 1000, "temp": 61, "power": 300, "limit": 700, "reasons": 0x45, "ecc": 2}
    values |= {"slowdown": 90, "margin": NOT_SUPPORTED, "remap": 0, **fields}
    return f"GPU-{number:08x}-aaaa {name} " + " ".join(map(str, values.values()))


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Double:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in for NVML with")
    folder = tmp_path_factory.mktemp("nvml")
    library = folder / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("nvml_double.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return Double(library, folder / "gpus.txt")


SCRIPT = """
import json, sys
from ugro_emitter import MetricsEmitter
with MetricsEmitter("job", sys.argv[1]) as emitter:
    stats = emitter.emit_gpu_stats()
    emitter.emit_step(1, loss=0.5)
print(json.dumps(stats))
"""


def stats_of(tmp_path: Path, environ: dict[str, str], script: str = SCRIPT) -> dict[str, Any]:
    done = run_script(script, tmp_path, environ=environ)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def index_used(tmp_path: Path, environ: dict[str, str], script: str = SCRIPT) -> int | None:
    """The NVML index of the GPU that a run said it trains on."""
    stats_of(tmp_path, environ, script)
    described = read_records(tmp_path / "job")[0]["gpu"]
    return None if described is None else int(described["index"])


def test_a_healthy_gpu_is_in_the_start_the_steps_and_the_heartbeat(double: Double, tmp_path: Path) -> None:
    assert stats_of(tmp_path, double.set(gpu(0))) == HEALTHY
    records = read_records(tmp_path / "job")
    uuid = "GPU-00000000-aaaa"
    assert records[0]["gpu"] == {"index": 0, "uuid": uuid, "name": "H100", "memory_total": 80 << 30}
    assert steps_of(records)[0]["gpu"] == HEALTHY
    beat = json.loads((tmp_path / "job" / "heartbeat.rank-0.json").read_bytes())
    assert beat["gpu"] == {"index": 0, "uuid": uuid, **HEALTHY}


@pytest.mark.parametrize(
    ("field", "missing"),
    [
        ("util", ["util"]),
        ("mem", ["mem_used", "mem_total"]),
        ("temp", ["temp"]),
        ("power", ["power"]),
        ("limit", ["power_limit"]),
        ("reasons", ["throttle"]),
        ("ecc", ["ecc"]),
        ("slowdown", ["temp_slowdown"]),
        ("remap", ["remap_failed"]),
    ],
)
def test_a_field_that_fails_takes_no_other_with_it(
    field: str, missing: list[str], double: Double, tmp_path: Path
) -> None:
    environ = double.set(gpu(0, "H100", **{field: NOT_SUPPORTED}))
    assert stats_of(tmp_path, environ) == {**HEALTHY, **dict.fromkeys(missing)}


def test_a_lost_gpu_is_all_nulls_and_training_goes_on(double: Double, tmp_path: Path) -> None:
    lost = {**NULLS, "lost": True}
    assert stats_of(tmp_path, double.set(gpu(0, "H100", **dict.fromkeys(ANSWERS, GPU_IS_LOST)))) == lost
    step, end = read_records(tmp_path / "job")[-2:]
    assert (step["gpu"], end["status"]) == (lost, "completed")


def test_a_gpu_that_answers_nothing_is_not_said_to_be_lost(double: Double, tmp_path: Path) -> None:
    assert stats_of(tmp_path, double.set(gpu(0, "H100", **dict.fromkeys(ANSWERS, NOT_SUPPORTED)))) == NULLS


def test_rows_that_cannot_be_remapped_are_told(double: Double, tmp_path: Path) -> None:
    assert stats_of(tmp_path, double.set(gpu(0, remap=1))) == {**HEALTHY, "remap_failed": True}


def test_where_only_the_margin_is_known_it_is_added_to_the_temperature(double: Double, tmp_path: Path) -> None:
    environ = double.set(gpu(0, temp=70, slowdown=NOT_SUPPORTED, margin=17))
    assert stats_of(tmp_path, environ) == {**HEALTHY, "temp": 70, "temp_slowdown": 87}


def test_the_limit_of_the_temperature_is_asked_for_once(double: Double, tmp_path: Path) -> None:
    script = """
import json, os, sys, threading, time
from ugro_emitter import MetricsEmitter
emitter = MetricsEmitter("job", sys.argv[1], heartbeat_interval=0.05)
emitter.emit_gpu_stats()
row = open(os.environ["NVML_DOUBLE"]).read()
beside = os.environ["NVML_DOUBLE"] + ".new"
open(beside, "w").write(row.replace(" 61 ", " 62 ").replace(" 90 ", " 91 "))
os.replace(beside, os.environ["NVML_DOUBLE"])
deadline = time.monotonic() + 20
while emitter.emit_gpu_stats()["temp"] != 62 and time.monotonic() < deadline:
    threading.Event().wait(0.01)
print(json.dumps(emitter.emit_gpu_stats()))
"""
    assert stats_of(tmp_path, double.set(gpu(0)), script) == {**HEALTHY, "temp": 62}


def test_nothing_waits_for_an_nvml_that_hangs(double: Double, tmp_path: Path) -> None:
    script = """
import json, sys, time
from ugro_emitter import MetricsEmitter
emitter = MetricsEmitter("job", sys.argv[1])
emitter.emit_gpu_stats()  # may wait, a second at most
before = time.monotonic()
for step in range(100):
    emitter.emit_step(step, loss=0.5)
    stats = emitter.emit_gpu_stats()
assert time.monotonic() - before < 1.0, "the training waited for NVML"
emitter.close()
print(json.dumps(stats))
"""
    assert stats_of(tmp_path, double.set(gpu(0, util=9999)), script) == NULLS
    records = read_records(tmp_path / "job")
    assert (len(records), records[-1]["status"]) == (102, "completed")
    assert all("gpu" not in step for step in steps_of(records))
    beat = json.loads((tmp_path / "job" / "heartbeat.rank-0.json").read_bytes())
    assert (beat["state"], beat["gpu"]) == ("ended", None)


@pytest.mark.parametrize("environ", [{}, {"NVML_DOUBLE": "/absent"}], ids=["no library", "no driver"])
def test_no_gpu_is_null_everywhere(environ: dict[str, str], double: Double, tmp_path: Path) -> None:
    if environ:
        environ = {**environ, "LD_LIBRARY_PATH": str(double.library.parent)}
    assert stats_of(tmp_path, environ) == NULLS
    records = read_records(tmp_path / "job")
    assert records[0]["gpu"] is None
    assert "gpu" not in records[1]


@pytest.mark.parametrize(
    ("visible", "order", "names", "expected"),
    [
        ("1", None, ["H100", "H100"], 1),
        ("GPU-00000001-aaaa", None, ["A", "B"], 1),
        ("GPU-00000001", None, ["A", "B"], 1),  # CUDA takes a UUID cut short
        ("GPU-0000000", None, ["A", "B"], None),  # which of them?
        ("1", None, ["A", "B"], None),  # CUDA counts the fastest first, NVML by bus: not certain
        ("1", "PCI_BUS_ID", ["A", "B"], 1),
        (None, None, ["H100"], 0),
        (None, None, ["H100", "H100"], None),  # which of them is only known when CUDA is initialised
        ("0,1", None, ["H100", "H100"], None),
        ("1,-1,0", None, ["H100", "H100"], 1),  # CUDA's list ends at what is no device
        ("", None, ["H100"], None),
        ("-1", None, ["H100"], None),
        ("7", None, ["H100"], None),
    ],
)
def test_which_gpu_without_cuda_telling(
    visible: str | None, order: str | None, names: list[str], expected: int | None, double: Double, tmp_path: Path
) -> None:
    environ = double.set(*(gpu(number, name) for number, name in enumerate(names)))
    environ["LOCAL_RANK"] = "1"  # says nothing of the device, and must not be believed
    if visible is not None:
        environ["CUDA_VISIBLE_DEVICES"] = visible
    if order is not None:
        environ["CUDA_DEVICE_ORDER"] = order
    assert index_used(tmp_path, environ) == expected


CUDA_TELLS = """
import sys, types
# As much of torch.cuda as the emitter asks: this machine has no CUDA.
properties = types.SimpleNamespace(UUID)
cuda = types.SimpleNamespace(
    is_initialized=lambda: True, current_device=lambda: 1, get_device_properties=lambda _ordinal: properties
)
sys.modules["torch"] = types.SimpleNamespace(cuda=cuda, __version__="0", version=types.SimpleNamespace(cuda="13"))
"""


@pytest.mark.parametrize(
    ("uuid", "visible", "expected"),
    [
        ("uuid='00000002-aaaa'", "0,1", 2),  # what CUDA says counts, whatever the environment says
        ("uuid='00000002-aaaa'", None, 2),
        ("", "2,0", 0),  # an older torch tells no UUID: its device 1 is the second visible one
        ("", None, 1),
    ],
)
def test_which_gpu_when_cuda_tells(
    uuid: str, visible: str | None, expected: int, double: Double, tmp_path: Path
) -> None:
    environ = double.set(gpu(0), gpu(1), gpu(2))
    if visible is not None:
        environ["CUDA_VISIBLE_DEVICES"] = visible
    assert index_used(tmp_path, environ, CUDA_TELLS.replace("UUID", uuid) + SCRIPT) == expected


def test_the_gpu_is_learnt_when_cuda_is_initialised_after_the_emitter_was_made(double: Double, tmp_path: Path) -> None:
    script = f"""
import json, sys, threading, time
from ugro_emitter import MetricsEmitter
emitter = MetricsEmitter("job", sys.argv[1], heartbeat_interval=0.05)
before = emitter.emit_gpu_stats()
{CUDA_TELLS.replace("UUID", "uuid='00000001-aaaa'")}
step, deadline = 0, time.monotonic() + 20
while emitter.emit_gpu_stats()["util"] is None and time.monotonic() < deadline:
    step += 1
    emitter.emit_step(step)
    threading.Event().wait(0.01)
print(json.dumps({{"before": before["util"], "after": emitter.emit_gpu_stats()["util"]}}))
"""
    environ = double.set(gpu(0, util=10), gpu(1, util=20))
    assert stats_of(tmp_path, environ, script) == {"before": None, "after": 20}
