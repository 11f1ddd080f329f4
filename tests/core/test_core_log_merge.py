"""The logs of many ranks as one: in order, and told once what several said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core import log_merge
from ugro_tui.core.log_lines import LineReader, LogLine
from ugro_tui.core.log_merge import LogMerge, merged


def logs(texts: Mapping[int, Sequence[str]]) -> dict[int, list[LogLine]]:
    return {rank: LineReader(rank).read(lines) for rank, lines in texts.items()}


def told(lines: Sequence[LogLine]) -> list[tuple[tuple[int, ...], str]]:
    return [(line.ranks, line.message) for line in lines]


def test_what_several_ranks_say_at_the_same_time_is_one_line() -> None:
    texts = {
        0: ["2026-05-16 09:00:00,100 loading", "2026-05-16 09:00:03,000 step 1 loss 2.5", "2026-05-16 09:00:09 done"],
        1: ["2026-05-16 09:00:00,400 loading", "2026-05-16 09:00:03,100 step 1 loss 2.6"],
        2: ["2026-05-16 09:00:00,200 loading", "2026-05-16 09:00:30 done"],
    }
    assert told(merged(logs(texts))) == [
        ((0, 1, 2), "loading"),
        ((0,), "step 1 loss 2.5"),
        ((1,), "step 1 loss 2.6"),
        ((0,), "done"),
        ((2,), "done"),
    ]


def test_ranks_differ_in_their_own_number_alone_and_it_is_not_told_as_that_of_all() -> None:
    texts = {7: ["[rank7]: Rank 7 ready on port 80"], 12: ["[rank12]: Rank 12 ready on port 80"]}
    assert told(merged(logs(texts))) == [((7, 12), "Rank * ready on port 80")]
    texts = {0: ["rank 0 loss 1"], 1: ["rank 1 loss 2"]}
    assert len(merged(logs(texts))) == 2


def test_a_line_without_a_time_stays_behind_the_one_before_it() -> None:
    texts = {
        0: ["2026-05-16 09:00:00 a", "said after a"],
        1: ["2026-05-16 09:00:01 b"],
    }
    assert [message for _, message in told(merged(logs(texts)))] == ["a", "said after a", "b"]


def test_without_times_the_same_lines_hold_the_order_together() -> None:
    texts = {0: ["start", "mine", "epoch 1", "a", "epoch 2"], 1: ["start", "epoch 1", "b", "c", "epoch 2", "end"]}
    assert told(merged(logs(texts))) == [
        ((0, 1), "start"), ((0,), "mine"), ((0, 1), "epoch 1"), ((0,), "a"), ((1,), "b"), ((1,), "c"),
        ((0, 1), "epoch 2"), ((1,), "end"),
    ]  # fmt: skip


WORDS = st.lists(
    st.sampled_from(
        ["a", "  b", "Traceback (most recent call last)", "2026-05-16 09:00:01 c", "2026-05-16 09:00:08 d", "rank 1 x"]
    ),
    max_size=12,
)


@given(st.dictionaries(st.integers(0, 4), WORDS, max_size=4))
def test_each_rank_is_told_whole_and_in_its_order(texts: dict[int, list[str]]) -> None:
    found = merged(logs(texts))
    for rank, lines in texts.items():
        expected = [line.message.replace("rank 1", "rank *") for line in LineReader(rank).read(lines)]
        said = [line.message.replace("rank 1", "rank *") for line in found if rank in line.ranks]
        assert said == expected


def test_what_comes_later_is_fitted_in_and_old_lines_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_merge, "OPEN_LINES", 400)
    merge = LogMerge(500)
    for begin in range(0, 3_000, 50):
        for rank in (0, 1):
            merge.add(logs({rank: [f"{1_700_000_000 + step} step {step}" for step in range(begin, begin + 50)]}))
    lines = merge.lines({1: LineReader(1).peek("half")})
    assert lines[-1].message == "half"
    assert [int(line.message.split()[1]) for line in lines[:-1]] == list(range(merge.dropped, 3_000))
    assert {line.ranks for line in lines[:-1]} == {(0, 1)}
    assert 500 < len(lines) < 500 + 2 * 400


def test_what_comes_later_without_a_time_is_below_what_came_before() -> None:
    merge = LogMerge(500)
    merge.add(logs({0: ["2026-05-16 09:00:00 a", "2026-05-16 15:00:00 b"], 1: ["2026-05-16 09:00:01 c", "d"]}))
    merge.add(logs({1: ["e"]}))
    merge.add(logs({0: ["f"], 1: ["2026-05-16 14:59:59 late", "Error: g"]}))
    merge.add(logs({1: ["h"], 2: ["i"]}))
    said = [line.message for line in merge.lines({0: LineReader(0).peek("half")})]
    assert said == ["a", "c", "d", "b", "e", "late", "Error: g", "f", "h", "i", "half"]


def test_what_a_rank_without_times_said_before_stays_where_it_was_when_more_comes() -> None:
    timed = [f"2026-05-16 09:00:0{second} step {second}" for second in range(3)]
    whole, later, trace = LogMerge(100), ["print 3"], ["Traceback (most recent call last):", "  File", "OSError: x"]
    readers = {rank: LineReader(rank) for rank in range(3)}
    prints = [f"print {number}" for number in range(3)]
    whole.add({0: readers[0].read(timed), 1: readers[1].read(prints), 2: readers[2].read(["begin", *trace])})
    said = [message for _, message in told(whole.lines())]
    assert said[-3:] == trace
    assert said.index("begin") < said.index("step 2")
    assert said.index("print 0") < said.index("step 1")
    whole.add({1: readers[1].read(later)})
    said = [message for _, message in told(whole.lines())]
    assert said[-4:] == [*trace, *later]
    assert said.index("print 0") < said.index("step 1"), "it did not move when more came"


def test_where_nothing_tells_the_time_what_comes_later_is_below_too() -> None:
    merge = LogMerge(500)
    merge.add(logs({0: ["a", "b", "c"], 1: ["a", "d"]}))
    merge.add(logs({1: ["e", "same"], 0: ["same"]}))
    assert [line.message for line in merge.lines()][-2:] == ["e", "same"]
    assert merge.lines()[-1].ranks == (0, 1)


def test_errors_at_the_end_of_a_rank_that_was_long_silent_come_last() -> None:
    texts = {
        0: ["2026-05-16 09:00:00 a", "2026-05-16 15:00:00 step"],
        1: ["2026-05-16 09:00:00 a", "loading", "Traceback (most recent call last):", "  File x", "ValueError: x"],
    }
    assert [message for _, message in told(merged(logs(texts)))] == [
        "a", "loading", "step", "Traceback (most recent call last):", "  File x", "ValueError: x",
    ]  # fmt: skip


def _fails(words: str, *, frames: int = 3) -> list[str]:
    calls = [text for number in range(frames) for text in (f'  File "train.py", line {number}', "    call()")]
    return ["Traceback (most recent call last):", *calls, words]


CHAIN = [
    *_fails("KeyError: 1"),
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    *_fails("E: 2"),
]


def test_a_traceback_stays_whole_between_ranks_that_tell_no_time() -> None:
    found = [line.message for line in merged(logs({0: [f"step {n}" for n in range(60)], 1: ["begin", *CHAIN, "end"]}))]
    place = found.index(CHAIN[0])
    assert found[place : place + len(CHAIN)] == CHAIN
    assert 0 < place < found.index("step 59")


def test_where_no_rank_tells_the_time_an_error_at_the_end_is_at_the_end() -> None:
    trace = ["Traceback (most recent call last):", '  File "train.py", line 9', "OSError: no space"]
    steps = [f"step {number}" for number in range(10)]
    for failing, other in ((1, 0), (0, 1)):
        said = [message for _, message in told(merged(logs({other: steps, failing: ["begin", *trace]})))]
        assert said[-3:] == trace


def test_where_no_rank_tells_the_time_what_was_said_last_is_together() -> None:
    steps = [f"step {number}" for number in range(10)]
    said = [message for _, message in told(merged(logs({0: steps, 1: ["begin", "half", "saved"]})))]
    assert said[-2:] == ["step 9", "saved"]


def test_what_a_rank_says_before_the_error_that_it_ends_with_stays_with_it() -> None:
    trace = _fails("ValueError: injected")
    steps = [f"step {number}" for number in range(10)]
    texts = {0: ["begin", *steps, *_fails("RuntimeError: closed by peer")], 1: ["begin", "breaks at step 10", *trace]}
    said = [message for _, message in told(merged(logs(texts)))]
    assert said[: len(steps) + 2] == ["begin", *steps, "breaks at step 10"]


def test_tracebacks_that_end_with_other_words_are_told_once() -> None:
    texts = {0: _fails("Error: 4 MiB free"), 1: _fails("Error: 9 MiB free"), 2: _fails("Error: 4 MiB free", frames=2)}
    body, shorter = [((0, 1), line) for line in _fails("")[:-1]], [((2,), line) for line in texts[2]]
    expected = [*body, ((0,), "Error: 4 MiB free"), ((1,), "Error: 9 MiB free"), *shorter]
    assert told(merged(logs(texts))) == expected


@pytest.mark.parametrize("time", ["", "2026-05-16 09:00:00 "])
def test_a_traceback_that_comes_in_pieces_stays_whole(time: str) -> None:
    merge, readers = LogMerge(500), [LineReader(0), LineReader(1)]
    lines = [f"{time}go", *_fails("ValueError: x")]
    for line in lines:
        merge.add({0: readers[0].read([f"{time}said with {line}"]), 1: readers[1].read([line])})
    found = [line.message for line in merge.lines() if line.ranks == (1,)]
    place = [line.message for line in merge.lines()].index(lines[1])
    assert found == ["go", *lines[1:]]
    assert [line.message for line in merge.lines()][place : place + len(lines) - 1] == lines[1:]


def test_of_a_rank_that_indents_everything_others_are_heard_in_between() -> None:
    found = merged(logs({0: ["go", *(f"  {n}" for n in range(2_000))], 1: ["a", "b", "c"]}))
    places = [place for place, line in enumerate(found) if line.ranks == (1,)]
    assert places[-1] - places[0] > 400
