"""What core may know: numbers and text, no machines, no screens, no clocks."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ugro_tui.core

CORE = Path(ugro_tui.core.__file__).parent
MODULES = sorted(path.stem for path in CORE.glob("*.py") if path.stem != "__init__")
ALLOWED = {"numpy", "orjson", "msgspec", "google_crc32c", "ugro_tui"}
SUPPORTING = {"typing_extensions", "cython_runtime"}
"""What those four load for themselves, where it is installed."""

_LIST_ROOTS = """
import importlib, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module("ugro_tui.core." + name)
print("\\n".join(sorted(set(sys.modules) - before)))
"""


def test_core_loads_nothing_but_the_standard_library_and_four_packages() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _LIST_ROOTS, *MODULES],
        capture_output=True,
        text=True,
        check=True,
        cwd=CORE.parent.parent,
        timeout=60,
    )
    loaded = run.stdout.split()
    # Modules without a file are made at run time, by numpy's compiled parts for one.
    roots = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert "ugro_tui.core.summary" in loaded
    assert {root for root in roots if not root.startswith("_")} <= ALLOWED | SUPPORTING
    rooms = {name.split(".")[1] for name in loaded if name.startswith("ugro_tui.")}
    assert rooms == {"core"}
    assert not {"torch", "paramiko", "textual", "plotext"} & roots


FORBIDDEN = {"time", "datetime", "threading", "socket", "subprocess", "pathlib", "os", "io", "asyncio", "random"}


@pytest.mark.parametrize("module", MODULES)
def test_core_imports_no_clock_thread_or_file(module: str) -> None:
    tree = ast.parse((CORE / f"{module}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not {name.partition(".")[0] for name in imported} & FORBIDDEN
    assert not called & {"open", "eval", "exec", "print", "input"}
