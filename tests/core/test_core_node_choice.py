"""A line of names: which nodes it chooses, and the line after one more is chosen or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.node_choice import ALL, NONE, NodeChoice

KNOWN = ("gpu-master", "gpu1", "gpu2", "gpu10")


def choice(line: str) -> NodeChoice:
    return NodeChoice(line, KNOWN)


@pytest.mark.parametrize(
    ("line", "chosen", "sought", "listed"),
    [
        ("", KNOWN, "", KNOWN),
        (",", (), "", KNOWN),
        ("gpu2, gpu1", ("gpu2", "gpu1"), "", KNOWN),
        ("gpu2,MAS", ("gpu2",), "MAS", ("gpu-master",)),
        ("gpu2,nowhere", ("gpu2",), "nowhere", KNOWN),
        ("nowhere,", (), "", KNOWN),
        ("gpu[1-2,10]", ("gpu1", "gpu2", "gpu10"), "", KNOWN),
        ("gpu[10,1] gpu-master", ("gpu10", "gpu1", "gpu-master"), "", KNOWN),
        ("gpu1*", ("gpu1", "gpu10"), "", KNOWN),
        ("gpu2,gpu[1", ("gpu2",), "gpu[1", KNOWN),
    ],
)
def test_what_a_line_chooses_and_looks_for(
    line: str, chosen: tuple[str, ...], sought: str, listed: tuple[str, ...]
) -> None:
    found = choice(line)
    assert (found.chosen, found.sought, found.listed) == (chosen, sought, listed)


@pytest.mark.parametrize(
    ("line", "name", "after"),
    [
        (ALL, "gpu1", "gpu-master,gpu2,gpu10,"),
        ("gpu-master,gpu2,gpu10", "gpu1", ALL),
        ("gpu2,gpu1,", "gpu-master", "gpu2,gpu1,gpu-master,"),
        ("gpu2,mas", "gpu-master", "gpu-master,gpu2,"),
        ("gpu2", "gpu2", NONE),
        (NONE, "gpu2", "gpu2,"),
    ],
)
def test_one_node_is_chosen_or_not_any_more(line: str, name: str, after: str) -> None:
    assert choice(line).toggled(name) == after


def test_all_that_are_listed_at_once() -> None:
    assert choice(ALL).toggled_all() == NONE
    assert choice(NONE).toggled_all() == ALL
    assert choice("gpu-master,gpu").toggled_all() == ALL
    assert choice("gpu-master,10").toggled_all() == "gpu-master,gpu10,"


@given(st.lists(st.sampled_from(KNOWN), unique=True), st.sampled_from(KNOWN))
def test_choosing_a_node_twice_changes_nothing(chosen: list[str], name: str) -> None:
    before = NodeChoice(",".join((*chosen, "")) or NONE, KNOWN)
    once = NodeChoice(before.toggled(name), KNOWN)
    assert (name in once.chosen) != (name in before.chosen)
    assert set(NodeChoice(once.toggled(name), KNOWN).chosen) == set(before.chosen)
