"""The house's own rules: who may import whom, and that nothing of one machine is in the sources."""

from __future__ import annotations

import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ugro_tui
from tests.writing import clean_environment

REPOSITORY = Path(__file__).resolve().parents[1]
SCREENS = ("textual", "textual_plotext", "plotext", "rich")
HEAVY = ("torch", "tensorboard", "transformers", "paramiko")

# Imports each module in turn, and says what came with it that was not there before.
PROBE = """
import importlib, json, sys
watched, found = sys.argv[1].split(","), {}
for name in sys.argv[2:]:
    before = set(sys.modules)
    importlib.import_module(name)
    found[name] = [other for other in watched if other in sys.modules and other not in before]
print(json.dumps(found))
"""


def modules(*, ui: bool) -> list[str]:
    """All modules of the application, those of screens or the headless ones."""
    prefix = "ugro_tui."
    names = [found.name for found in pkgutil.walk_packages(ugro_tui.__path__, prefix)]
    runnable = ("ugro_tui.__main__", "ugro_tui.act.entry")
    return [name for name in names if name.startswith(f"{prefix}ui") == ui and name not in runnable]


def test_the_import_arrows_hold(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--config", "pyproject.toml", "--cache-dir", tmp_path / "cache"],
        capture_output=True, text=True, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: \d+ kept, 0 broken", done.stdout)


def brought(names: list[str], watched: tuple[str, ...], home: Path) -> dict[str, list[str]]:
    """What importing these modules brings with it, of what is watched."""
    argv = [sys.executable, "-c", PROBE, ",".join(watched), *names]
    env = clean_environment(home, PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=home, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return {name: others for name, others in found.items() if others}


def test_the_probe_sees_what_is_imported(tmp_path: Path) -> None:
    assert brought(["json", "decimal"], ("decimal",), tmp_path) == {"decimal": ["decimal"]}


def test_headless_modules_bring_no_screens_and_nothing_heavy(tmp_path: Path) -> None:
    names = modules(ui=False)
    assert {"ugro_tui.cli", "ugro_tui.agent", "ugro_tui.monitor", "ugro_tui.core.job", "ugro_tui.act.torchrun"} <= {
        *names
    }
    # The one file that knows paramiko is itself imported when a connection is made.
    assert brought(names, SCREENS + HEAVY, tmp_path) == {"ugro_tui.nodes.transport": ["paramiko"]}


def test_who_only_launches_a_job_needs_no_pictures(tmp_path: Path) -> None:
    names = ["cli_launch", "headless", "launches", "act.coordinator", "act.torchrun", "act.slurm", "nodes.remote"]
    watched = ("numpy", "ugro_tui.core.snapshot", "ugro_tui.collect")
    assert brought([f"ugro_tui.{name}" for name in names], watched, tmp_path) == {}


def test_screens_bring_nothing_heavy_and_no_machines(tmp_path: Path) -> None:
    others = ("ugro_tui.collect", "ugro_tui.nodes", "ugro_tui.act", "ugro_tui.agent", *HEAVY)
    assert brought(modules(ui=True), others, tmp_path) == {}


def test_the_emitter_brings_nothing_that_it_can_do_without(tmp_path: Path) -> None:
    assert brought(["ugro_emitter"], ("ugro_tui", "numpy", "pynvml", *SCREENS, *HEAVY), tmp_path) == {}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    return [path for name in listed.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def test_no_file_names_a_place_of_the_machine_it_was_written_on() -> None:
    places = re.compile(rb"(?<![\w.])/(?:Users|work|root|home/(?!someone|you))/?[A-Za-z0-9_.-]+")
    own = Path(__file__).resolve()
    found = {
        (str(path.relative_to(REPOSITORY)), match.decode())
        for path in tracked()
        if path != own
        for match in places.findall(path.read_bytes())
    }
    assert found == set()


@pytest.mark.parametrize("asked", [None, "3"])
def test_numpy_is_loaded_with_one_thread_and_children_are_told_nothing(asked: str | None, tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom ugro_tui.loading import load_numpy\nload_numpy()\n"
        "print('numpy' in sys.modules, os.environ.get('OPENBLAS_NUM_THREADS'), len(os.listdir('/proc/self/task')))"
    )
    told = {} if asked is None else {"OPENBLAS_NUM_THREADS": asked}
    env = clean_environment(tmp_path, PYTHONPATH=str(REPOSITORY), **told)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    loaded, left, threads = done.stdout.split()
    assert (loaded, left) == ("True", str(asked))
    assert asked is not None or threads == "1"
