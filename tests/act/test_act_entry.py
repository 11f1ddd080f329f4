"""The wrapper that each rank is started through, alone."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ugro_tui.act.lent import ENTRY

SCRIPT = """
import json, os, sys
print(json.dumps({"argv": sys.argv, "error_file": os.environ.get("TORCHELASTIC_ERROR_FILE")}))
os.write(2, b"straight to stderr\\n")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def run(script: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {"UGRO_METRICS_DIR": str(script.parent), "UGRO_JOB_ID": "job", "RANK": "3", "WORLD_SIZE": "4", **env}
    command = [sys.executable, str(ENTRY), str(script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)


def test_output_and_error_file_are_the_ranks_own(script: Path, tmp_path: Path) -> None:
    stale = tmp_path / "job" / "errors" / "rank_3.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("of the attempt before")
    first = run(script, "--lr", "a b", "-x", "")
    run(script, UGRO_ATTEMPT="2", TORCHELASTIC_RESTART_COUNT="1")
    assert (first.stdout, first.stderr) == ("", "")
    assert not stale.exists()
    header, told, straight, second_header, *_ = (tmp_path / "job/logs/rank_3.log").read_text().splitlines()
    assert header.startswith("== attempt 1: rank 3 of 4 on ")
    assert second_header.startswith("== attempt 2, restart 1: rank 3 of 4 on ")
    assert json.loads(told) == {"argv": [str(script), "--lr", "a b", "-x", ""], "error_file": str(stale)}
    assert straight == "straight to stderr"


def test_a_folder_that_cannot_be_written_does_not_keep_the_rank_from_running(script: Path, tmp_path: Path) -> None:
    (tmp_path / "job").write_text("a file in the way")
    done = run(script)
    assert json.loads(done.stdout)["argv"] == [str(script)]
    assert "rank 3 has no log or error file of its own" in done.stderr


def test_it_stands_alone_on_old_pythons() -> None:
    tree = ast.parse(ENTRY.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert imported <= set(sys.stdlib_module_names)
    vermin = [str(Path(sys.executable).with_name("vermin")), "--no-tips", "-t=3.6-", "--violations", str(ENTRY)]
    found = subprocess.run(vermin, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout
