"""job.json on the disk."""

from __future__ import annotations

import getpass
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ugro_tui.act.manifest import LaunchRecord, read_token, this_user, write_manifest
from ugro_tui.core.documents import parse_manifest
from ugro_tui.core.records import Manifest

RECORD = LaunchRecord(
    job_id="job",
    attempt=2,
    world_size=4,
    command=("python", "ä b", "-x"),
    workdir="/w",
    host="h",
    user="u",
    token="t0ken",
    started=10.5,
)


def test_what_is_written_is_what_the_watching_side_reads(tmp_path: Path) -> None:
    write_manifest(tmp_path, replace(RECORD, status="failed", ended=20.5, exit_code=1))
    assert parse_manifest((tmp_path / "job.json").read_bytes()) == Manifest(
        backend="local",
        status="failed",
        attempt=2,
        world_size=4,
        command=("python", "ä b", "-x"),
        exit_code=1,
        started=10.5,
        ended=20.5,
    )
    assert read_token(tmp_path) == "t0ken"
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_a_full_disk_leaves_the_old_manifest_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(tmp_path, RECORD)
    old = (tmp_path / "job.json").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(tmp_path, replace(RECORD, status="running"))
    assert (tmp_path / "job.json").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff", b'{"v": 1}', b'{"token": 5}', b'{"token": ""}'])
def test_a_manifest_without_a_token_has_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "job.json").write_bytes(content)
    assert read_token(tmp_path) is None


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert this_user() == str(os.getuid())
