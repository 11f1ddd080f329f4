"""The options of a run in its `start` record."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from ugro_emitter import MetricsEmitter
from ugro_emitter.config import MOST_NAMES, MOST_TEXT

from tests.emitter.support import read_records


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def told(folder: Path, config: Any) -> Any:
    """What the `start` record says of `config`."""
    with MetricsEmitter("job", folder, config=config) as emitter:
        emitter.emit_step(1)
    start, step, _ = read_records(folder / "job")
    assert "config" not in step
    return start.get("config", "absent")


def test_options_are_in_the_start_record_as_they_are(tmp_path: Path) -> None:
    config = {"lr": 3e-4, "steps": 10, "resume": False, "data": None, "model": OrderedDict(width=128, act="gelu")}
    assert told(tmp_path, config) == config


def test_without_options_nothing_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, None) == "absent"


def test_what_json_cannot_hold_becomes_text_and_never_raises(tmp_path: Path) -> None:
    config = {"path": Path("a/b"), "odd": Odd(), "nan": math.nan, 1: [1, 2], "big": 10**400, "long": "x" * 999}
    found = told(tmp_path, config)
    assert found.pop("big").startswith("1000")
    assert found == {"path": "a/b", "odd": "a Odd", "nan": "NaN", "1": "[1, 2]", "long": "x" * MOST_TEXT}


def test_many_options_are_cut(tmp_path: Path) -> None:
    found = told(tmp_path, {"a": {str(n): n for n in range(200)}, "b": {str(n): n for n in range(200)}})
    assert len(found["a"]) == 200
    assert 200 + len(found["b"]) <= MOST_NAMES


def test_options_that_are_no_mapping_are_refused_by_name(tmp_path: Path) -> None:
    config: Any = ["--lr", "1"]
    with pytest.raises(ValueError, match="config must be a mapping"):
        MetricsEmitter("job", tmp_path, config=config)
