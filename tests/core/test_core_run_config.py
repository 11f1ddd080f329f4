"""What a run was started with: from its `start` record, and from a command line."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ugro_tui.core.run_config import LONGEST_NAME, LONGEST_VALUE, MOST_NAMES, config_of, flattened, options, scalar_text


def test_nested_names_are_dotted_and_values_are_text() -> None:
    assert flattened({"model": {"width": 128, "act": {"name": "gelu"}}, "lr": 3e-4, "on": True, "no": None}) == {
        "model.width": "128", "model.act.name": "gelu", "lr": "0.0003", "on": "true", "no": "none",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("some", "other"), [("3e-4", 0.0003), ("128", 128.0), ("True", True), ("None", None), ("1.50", 1.5), ("+2", 2)]
)
def test_the_same_value_is_the_same_text_however_it_was_written(some: str, other: object) -> None:
    assert scalar_text(some) == scalar_text(other)


def test_what_a_node_makes_up_is_bounded_and_harmless() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = {"k": deep}
    assert all(len(value) <= LONGEST_VALUE for value in flattened({"deep": deep}).values())
    assert len(flattened({str(number): number for number in range(10_000)})) == MOST_NAMES
    ((name, value),) = flattened({"\x1b[31m" + "n" * 500: "\x1b]0;t\x07" + "v" * 5_000}).items()
    assert "\x1b" not in name + value
    assert (len(name), len(value)) == (LONGEST_NAME, LONGEST_VALUE)


def test_options_of_a_command_line() -> None:
    command = (
        "python -m torch.distributed.run --nproc-per-node 2 --master-port 29500 entry.py train.py data.bin --lr 3e-4 "
        "--min-lr=2e-4 --resume --no-enable-metrics --seed -1 --tags a b --inject x@1 --inject y@2 --file other.py"
    )
    assert options(command.split()) == {
        "lr": "0.0003", "min_lr": "0.0002", "resume": "true", "enable_metrics": "false", "seed": "-1",
        "tags": "a b", "inject": "x@1 y@2", "file": "other.py",
    }  # fmt: skip
    assert options(["train.py", "model.lr=1e-3", "+seed=3"]) == {"model.lr": "0.001", "seed": "3"}
    assert options([]) == options(["python"]) == {}


def test_what_the_script_has_handed_in_comes_before_the_command_line() -> None:
    start = {"world_size": 2, "versions": {"torch": "2.6"}, "gpu": {"name": "H100", "uuid": "x"}, "config": {"lr": 0.1}}
    found = config_of(start).merged(["train.py", "--lr", "0.2", "--width", "128", "--job-id", "mine"])
    assert found == {"world_size": "2", "versions.torch": "2.6", "gpu": "H100", "lr": "0.1", "width": "128"}


SCALARS = st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers()
NESTED = st.recursive(SCALARS, lambda part: st.lists(part) | st.dictionaries(st.text(max_size=9), part), max_leaves=9)


@settings(max_examples=60)
@given(NESTED)
def test_anything_that_a_record_may_hold_is_read(config: object) -> None:
    found = config_of({"config": config, "versions": config, "gpu": config}).merged()
    assert all(isinstance(text, str) for text in found.values())
    assert scalar_text(math.nan) == "nan"
