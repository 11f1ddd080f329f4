"""Event files as torch and TensorBoard write them, cut anywhere, damaged, and made to do harm."""

from __future__ import annotations

import itertools
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.util.tensor_util import make_ndarray
from torch.utils.tensorboard import SummaryWriter

from tests.tfrecords import event, event_file, framed, header, scalar_event, varint
from ugro_tui.core.scalars import MAX_TAGS, ScalarDecoder
from ugro_tui.core.tfevents import MAX_RECORD, EventFramer

RECORDS = [bytes([number]) * (number * 7 % 40) for number in range(30)]
FILE = b"".join(map(framed, RECORDS))


def read(data: bytes, cuts: list[int] | None = None) -> tuple[list[bytes], int]:
    """The records of a file that arrives in pieces, and the bytes skipped."""
    framer = EventFramer()
    places = [0, *sorted(cuts or ()), len(data)]
    records = [record for begin, end in itertools.pairwise(places) for record in framer.feed(data[begin:end])]
    return records, framer.skipped


def decoded(data: bytes, only: str | None = None) -> dict[str, list[list[float]]]:
    """The scalars of a file by tag."""
    return {tag: rows.tolist() for tag, rows in ScalarDecoder(only).take(read(data)[0]).items()}


def write_everything(folder: Path) -> None:
    """Scalars in all the ways that torch has, between much else."""
    with SummaryWriter(str(folder)) as writer:
        odd = [math.nan, math.inf, -math.inf, 0.0, 1e-30, 3e38]
        for step in [*range(300), 16_383, 16_384, 2**31, 2**40]:
            writer.add_scalar("loss/train", odd[step % 6] if step % 50 == 0 else 1 / (step + 1), step)
            writer.add_scalar("new", step / 3, step, new_style=True)
            writer.add_scalar("double", step / 7, step, new_style=True, double_precision=True)
            if step % 100 == 0:
                writer.add_histogram("weights", np.arange(50.0), step)
                writer.add_text("text", "loss 1.0", step)
                writer.add_pr_curve("pr", np.array([0, 1, 1]), np.array([0.1, 0.5, 0.9]), step)
                writer.add_image("image", np.zeros((3, 4, 4)), step)
        writer.add_scalar("x" * 150, 1.0, 1)
        writer.add_scalar("stepless", 5.0)


def test_the_scalars_are_those_that_tensorboard_itself_reads(tmp_path: Path) -> None:
    write_everything(tmp_path)
    (file,) = tmp_path.iterdir()
    found = ScalarDecoder().take(read(file.read_bytes())[0])
    accumulator: Any = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    assert set(found) == {"new", "double", *accumulator.Tags()["scalars"]}
    for tag, rows in found.items():
        if tag in ("new", "double"):
            told = [(one, float(make_ndarray(one.tensor_proto))) for one in accumulator.Tensors(tag)]
        else:
            told = [(one, one.value) for one in accumulator.Scalars(tag)]
        theirs = np.array([(one.step, one.wall_time, value) for one, value in told])
        np.testing.assert_array_equal(rows, theirs)
    assert [len(found[tag]) for tag in ("loss/train", "new", "double", "x" * 150, "stepless")] == [304, 304, 304, 1, 1]


def test_tensors_as_tensorflow_writes_them() -> None:
    def value(step: int, tensor: TensorProto, plugin: str) -> bytes:
        told = Summary.Value(tag="v2", tensor=tensor)
        told.metadata.plugin_data.plugin_name = plugin
        return framed(Event(step=step, summary=Summary(value=[told])).SerializeToString())

    content = TensorProto(dtype="DT_FLOAT", tensor_content=struct.pack("<f", 0.5))
    file = value(1, TensorProto(dtype="DT_FLOAT", float_val=[1.5]), "scalars") + value(2, content, "")
    assert decoded(file) == {"v2": [[1, 0, 1.5], [2, 0, 0.5]]}  # only the first has to say what it is
    assert decoded(value(1, content, "")) == decoded(value(1, content, "histograms")) == {}
    vector = TensorProto(dtype="DT_FLOAT", float_val=[1.0, 2.0])
    assert decoded(value(1, vector, "scalars")) == {}


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(FILE)), max_size=20))
def test_where_the_bytes_were_cut_changes_nothing(cuts: list[int]) -> None:
    assert read(FILE, cuts) == (RECORDS, 0)


def test_half_a_record_at_the_end_waits() -> None:
    framer = EventFramer()
    assert [framer.feed(bytes([byte])) for byte in framed(b"data")] == [[]] * 19 + [[b"data"]]


@settings(max_examples=100)
@given(
    st.integers(0, len(RECORDS) - 1), st.integers(0, 60), st.binary(max_size=40), st.integers(0, 40),
    st.lists(st.integers(0, len(FILE)), max_size=8),
)  # fmt: skip
def test_damage_costs_the_record_that_it_is_in(
    damaged: int, place: int, instead: bytes, lost: int, cuts: list[int]
) -> None:
    parts = list(map(framed, RECORDS))
    part = parts[damaged]
    place %= len(part)
    parts[damaged] = part[:place] + instead + part[place + lost :]
    tail = b"t" * 100  # damage may ask for as many bytes more as its header tells
    data = b"".join([*parts, framed(tail)])
    found, skipped = read(data, [min(cut, len(data)) for cut in cuts])
    others = [*RECORDS[:damaged], *RECORDS[damaged + 1 :], tail]
    assert found in (others, [*RECORDS, tail])
    assert (found, skipped) == read(data)
    if found == others:
        assert skipped == len(parts[damaged])


@pytest.mark.parametrize("hole", [b"\0" * 100_000, b"\xff" * 100_000, header(1 << 40), header((1 << 64) - 1)])
def test_holes_and_absurd_lengths_are_skipped_and_counted(hole: bytes) -> None:
    assert read(framed(b"a") + hole + framed(b"b")) == ([b"a", b"b"], len(hole))


def test_a_record_that_is_no_scalar_for_its_size_is_passed_over_without_holding_it() -> None:
    long = framed(b"x" * (MAX_RECORD + 1))
    framer = EventFramer()
    pieces = [long[begin : begin + 1000] for begin in range(0, len(long), 1000)]
    assert [framer.feed(piece) for piece in pieces] == [[]] * len(pieces)
    assert framer.feed(framed(b"next")) == [b"next"]
    assert framer.skipped == 0
    assert read(long + framed(b"next")) == ([b"next"], 0)


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda data: event(data, 3))))
def test_no_record_raises(record: bytes) -> None:
    decoder = ScalarDecoder()
    decoder.take([record, record[:-1], b"\x09" + record])
    assert decoder.take([scalar_event("well", 1, 2.0)])["well"].tolist() == [[1, 1.7e9, 2]]


@pytest.mark.parametrize(
    "record",
    [
        b"\x09" + bytes(8) + b"\x10" + b"\xff" * 40,  # a number without an end
        b"\x09" + bytes(8) + b"\x2a" + varint(1 << 60) + b"\x0a",  # longer than all there is
        b"\x0a\x03abc" * 10,
        event(b"\x0a\x7f" + b"\x0a\x05loss\x15" + bytes(4), 1),  # lengths that do not fit
    ],
)
def test_lengths_that_lie_give_nothing(record: bytes) -> None:
    assert decoded(framed(record)) == {}


def test_steps_are_signed_and_scalars_of_both_forms_keep_their_order() -> None:
    first, last = scalar_event("t", -1, 1.0), scalar_event("t", 3, 3.0)
    two = event(b"".join(bytes([10, 8, 10, 1]) + b"t\x15" + struct.pack("<f", value) for value in (2, 2.5)), 2)
    assert [row[::2] for row in decoded(b"".join(map(framed, [first, two, last])))["t"]] == [
        [-1, 1], [2, 2], [2, 2.5], [3, 3],
    ]  # fmt: skip


def test_tags_are_made_safe_and_are_not_without_end() -> None:
    assert list(decoded(event_file(["\x1b[31mred\n", "a" * 300], [1]))) == ["␛[31mred␊", "a" * 199 + "…"]
    decoder = ScalarDecoder()
    found = decoder.take(read(event_file(map(str, range(MAX_TAGS + 10)), [1]))[0])
    assert len(found) == len(decoder.tags) == MAX_TAGS
    assert decoder.take([scalar_event("late", 2, 0.0)]) == {}


def test_one_tag_alone() -> None:
    file = event_file(["a", "b"], [1, 2])
    assert decoded(file, "b") == {"b": [[1, 1.7e9, 1], [2, 1.7e9, 2]]}
    assert decoded(file, "c") == {}
