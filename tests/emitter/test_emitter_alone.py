"""The package on its own: a folder beside a script, the oldest Python it promises, nothing installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emitter.support import EMITTER, read_records

SCRIPT = """
import sys
from ugro_emitter import MetricsEmitter, __version__, PROTOCOL_VERSION
with MetricsEmitter("job", sys.argv[1], emit_every=2, total_steps=4) as emitter:
    for step in range(4):
        with emitter.phase("data"): pass
        emitter.emit_step(step, loss=float("nan") if step == 3 else 0.5, mine=step)
    with emitter.phase("eval"): pass
    emitter.emit_gpu_stats()
    emitter.get_tensorboard_writer().add_scalar("loss", 0.5, 1)
for name in ("torch", "numpy", "orjson", "pynvml"):
    assert name not in sys.modules, name
"""
WRITTEN = [("start", None), ("step", 0), ("step", 2), ("step", 3), ("phase", None), ("phase", None), ("end", None)]


def run_beside_a_copy(tmp_path: Path, *python: str) -> None:
    """Run a script with a copy of the package beside it, and look at what it wrote."""
    shutil.copytree(EMITTER / "ugro_emitter", tmp_path / "ugro_emitter", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "train.py").write_text(SCRIPT)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [*python, str(tmp_path / "train.py"), str(tmp_path / "jobs")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    records = read_records(tmp_path / "jobs" / "job")
    assert [(record["kind"], record.get("step")) for record in records] == WRITTEN
    assert records[3]["loss"] == "NaN"


def test_a_folder_beside_a_script_with_nothing_installed(tmp_path: Path) -> None:
    run_beside_a_copy(tmp_path, sys.executable, "-S", "-E")


def found_python_3_9() -> str | None:
    """A Python 3.9 that starts: on PATH, or among pyenv's."""
    candidates = [shutil.which("python3.9"), *map(str, Path.home().glob(".pyenv/versions/3.9.*/bin/python"))]
    for candidate in filter(None, candidates):
        asked = [candidate, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 9))"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def test_a_real_run_under_python_3_9(tmp_path: Path) -> None:
    python = found_python_3_9()
    if python is None:
        pytest.skip("no Python 3.9 on this machine: only the syntax is checked")
    run_beside_a_copy(tmp_path, python, "-S", "-E")


def test_the_syntax_is_that_of_python_3_9() -> None:
    command = [
        sys.executable,
        "-c",
        "from vermin import main; main()",
        "--target=3.9-",
        "--no-tips",
        "--quiet",
        str(EMITTER / "ugro_emitter"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_standard_library_is_all_that_is_imported() -> None:
    code = """
import sys
before = set(sys.modules)
import ugro_emitter
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {"ugro_emitter", "orjson"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=EMITTER, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
