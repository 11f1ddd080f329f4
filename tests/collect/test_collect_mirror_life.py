"""The central copy through everything that can happen to it, against a model that simply remembers the bytes."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.collect.copies import small_disk
from tests.writing import Clock
from ugro_tui.collect.mirror import Mirror, MirrorFull, MirrorMoved
from ugro_tui.core.layout import classify
from ugro_tui.nodes.base import Known
from ugro_tui.nodes.helper import place_digest

DISK = 256 << 10
BALLAST = 200 << 10


class CopyLife(RuleBasedStateMachine):
    """Files of a node that grow and are replaced, copied to a small disk that is full now and then."""

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        place = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            self.disk = self.stack.enter_context(small_disk(place / "disk", DISK))
        except pytest.skip.Exception:
            self.disk = place
        self.sources = {"metrics.jsonl": b"", "logs/rank_0.log": b"", "tensorboard/rank_1/events.out.tfevents.1": b""}
        self.places = {path: Known() for path in self.sources}
        self.superseded: list[bytes] = []
        self.start()

    def teardown(self) -> None:
        self.stack.close()

    @rule()
    def start(self) -> None:
        """A new application: all that it knows is what the copy tells."""
        self.mirror = Mirror(self.disk / "jobs", "n1", Clock(), reserve=0)
        self.places = {path: Known() for path in self.sources} | self.mirror.places("job")

    @rule(path=st.integers(0, 2), data=st.binary(min_size=1, max_size=2000), times=st.sampled_from([1, 1, 30]))
    def grow(self, path: int, data: bytes, times: int) -> None:
        self.sources[list(self.sources)[path]] += data * times

    @rule(path=st.integers(0, 2), most=st.integers(1, 100_000))
    def copy(self, path: int, most: int) -> None:
        name = list(self.sources)[path]
        file, place = classify(name), self.places[name]
        assert file is not None
        data = self.sources[name][place.offset : place.offset + most]
        try:
            size = self.mirror.append("job", file, place.offset, data, 0.0)
        except MirrorFull:
            return
        except MirrorMoved:
            self.start()
            return
        known = self.sources[name][:size]
        self.places[name] = Known(size, place_digest(known, known))
        assert size == place.offset + len(data)

    @rule(path=st.integers(0, 2), data=st.binary(max_size=2000))
    def replace(self, path: int, data: bytes) -> None:
        """Another file lies under the path, as the follower finds out."""
        name = list(self.sources)[path]
        file = classify(name)
        assert file is not None
        held = self.content(name)
        try:
            kept = self.mirror.supersede("job", file)
        except MirrorFull:
            return
        assert (kept is not None) == bool(held)
        if kept is not None:
            assert kept.read_bytes() == held
            self.superseded.append(held)
        self.sources[name] = data
        self.places[name] = Known()

    @rule()
    def fill_the_disk(self) -> None:
        if self.disk.name == "disk":
            with suppress(OSError):
                (self.disk / "ballast").write_bytes(bytes(BALLAST))

    @rule()
    def free_the_disk(self) -> None:
        (self.disk / "ballast").unlink(missing_ok=True)

    def content(self, name: str) -> bytes:
        kind, _, rest = name.rpartition("/")[0].partition("/")
        below = Path(kind or "metrics") / "n1" / rest / Path(name).name
        copy = self.disk / "jobs" / "job" / below
        return copy.read_bytes() if copy.exists() else b""

    @invariant()
    def the_copies_are_prefixes(self) -> None:
        for name, source in getattr(self, "sources", {}).items():
            assert source.startswith(self.content(name))

    @invariant()
    def what_is_known_is_what_is_there(self) -> None:
        for name, place in getattr(self, "places", {}).items():
            content = self.content(name)[: place.offset]
            assert len(content) == place.offset
            assert not content or place.place == place_digest(content, content)

    @invariant()
    def nothing_superseded_is_lost(self) -> None:
        if hasattr(self, "disk"):
            kept = [
                path.read_bytes()
                for path in (self.disk / "jobs" / "job" / "generations").rglob("*.*")
                if path.is_file()
            ]
            assert sorted(data for data in kept if data) == sorted(self.superseded)


TestCopyLife = CopyLife.TestCase
TestCopyLife.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, database=None)
