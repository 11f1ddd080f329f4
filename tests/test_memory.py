"""What outlives the screens: kept whole, whatever else is in the file, and never the end of the application."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import orjson
import pytest

from ugro_tui.core.kept import Kept
from ugro_tui.memory import NAME, MemoryFile


def kept_in(folder: Path, **values: str) -> None:
    memory = MemoryFile(folder)
    memory.save(values)
    memory.close()


def test_what_is_kept_is_found_again_and_is_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    memory = MemoryFile(folder)
    kept = Kept(memory)
    kept.keep("theme", "light")
    kept.keep("panes", {"loss": 12})
    kept.save()
    memory.close()
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert os.listdir(folder) == [NAME]
    again = Kept(MemoryFile(folder))
    assert again.get("theme", "") == "light"
    assert again.get("panes", {}) == {"loss": 12}
    assert again.get("panes", "") == ""
    assert again.get("nothing", 3) == 3


def test_only_what_is_new_is_written(tmp_path: Path) -> None:
    kept_in(tmp_path, theme="light")
    memory = MemoryFile(tmp_path)
    kept = Kept(memory)
    (tmp_path / NAME).unlink()
    kept.keep("theme", "light")
    kept.save()
    memory.close()
    assert not (tmp_path / NAME).exists()


def test_two_applications_keep_both_words_and_names_they_do_not_know(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(orjson.dumps({"version": 1, "of_later": [1, 2]}))
    one, other = MemoryFile(tmp_path), MemoryFile(tmp_path)
    one.load()
    other.load()
    one.save({"theme": "light", "job": "a"})
    one.close()
    other.save({"job": "b"})
    other.close()
    assert MemoryFile(tmp_path).load() == {"of_later": [1, 2], "theme": "light", "job": "b"}


def test_many_writers_never_damage_it(tmp_path: Path) -> None:
    def write(name: str) -> None:
        memory = MemoryFile(tmp_path)
        for number in range(20):
            memory.save({name: number})
            assert isinstance(memory.load(), dict)
        memory.close()

    threads = [threading.Thread(target=write, args=(f"name{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(os.listdir(tmp_path)) == [NAME]
    assert orjson.loads((tmp_path / NAME).read_bytes())["version"] == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{half", b"[1]", b'{"version": "x"}', b"\xff\xfe", b"0" * (2 << 20)],
    ids=["empty", "cut", "list", "version", "bytes", "large"],
)
def test_a_damaged_file_is_put_aside(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert MemoryFile(tmp_path).load() == {}
    assert (tmp_path / f"{NAME}.bad").read_bytes() == content
    assert "is damaged" in caplog.text
    kept_in(tmp_path, theme="light")
    assert MemoryFile(tmp_path).load() == {"theme": "light"}


def test_a_file_of_a_newer_application_is_left_alone(tmp_path: Path) -> None:
    content = orjson.dumps({"version": 2, "theme": {"another": "form"}})
    (tmp_path / NAME).write_bytes(content)
    assert MemoryFile(tmp_path).load() == {}
    kept_in(tmp_path, theme="light")
    assert (tmp_path / NAME).read_bytes() == content


def test_where_nothing_can_be_written_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept_in(tmp_path / "file", theme="light")
    assert "cannot be written: Not a directory" in caplog.text
    os.mkfifo(tmp_path / NAME)
    assert MemoryFile(tmp_path).load() == {}
