"""SFTP over real sshds, pipelined, with files kept open; and what no server should answer."""

from __future__ import annotations

import os
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes.ssh import reach, soon
from tests.sshd import Fleet, Machine, shared_fleet
from ugro_tui.nodes.base import NodeLied, NodeLost, NodeSilent
from ugro_tui.nodes.carriers import Stream
from ugro_tui.nodes.sftp_packets import ATTRS, DATA, HANDLE, NAME, VERSION
from ugro_tui.nodes.sftp_protocol import MAX_HANDLES, SftpSession

__all__ = ["shared_fleet"]


class Counted:
    """A stream that counts turns: what was sent since something came is one round trip."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._asking = False
        self.turns = 0

    def send(self, data: bytes, deadline: float) -> None:
        self.turns += not self._asking
        self._asking = True
        self._stream.send(data, deadline)

    def receive(self, most: int, deadline: float) -> bytes:
        self._asking = False
        return self._stream.receive(most, deadline)

    def close(self) -> None:
        self._stream.close()


@pytest.fixture(scope="module")
def machine(shared_fleet: Fleet) -> Machine:
    return shared_fleet.add()


@pytest.fixture
def counted(shared_fleet: Fleet, machine: Machine) -> Iterator[Counted]:
    connection = reach(shared_fleet, machine)
    yield Counted(connection._program("subsystem", "sftp", soon()))
    connection.close()


@pytest.fixture
def sftp(counted: Counted) -> SftpSession:
    return SftpSession(counted, soon())


def test_names_and_what_is_said_of_them(sftp: SftpSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    odd = os.fsdecode(b"odd\xff\n")
    (tmp_path / odd).touch()
    os.utime(tmp_path / "file", (5, 1_700_000_000))
    found = dict(sftp.listdir(str(tmp_path), soon()))
    assert {*found} == {"file", "folder", "link", odd}
    assert (found["file"].size, found["file"].mtime, found["file"].mode) == (5, 1_700_000_000, 0o100644)
    assert stat.S_ISDIR(found["folder"].mode)
    assert stat.S_ISLNK(found["link"].mode)
    told = sftp.stat_many([str(tmp_path / name) for name in ("file", "none", "link", odd)], soon())
    assert told[0] == found["file"]
    assert told[1] is None
    assert told[2] == found["link"]
    assert told[3] == found[odd]
    assert sftp.realpath(f"{tmp_path}/folder/..", soon()) == str(tmp_path)


def test_errors_are_the_usual_ones(sftp: SftpSession, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sftp.listdir(str(tmp_path / "none"), soon())
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        sftp.listdir(str(tmp_path / "file"), soon())
    found = sftp.read_many(
        [(str(tmp_path / "none"), 0, 5), (str(tmp_path), 0, 5), (str(tmp_path / "file"), 0, 5)], soon()
    )
    assert isinstance(found[0], FileNotFoundError)
    assert isinstance(found[1], OSError)
    assert found[2] == b""


def test_many_names_come_in_few_turns(sftp: SftpSession, counted: Counted, tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"file{number}").touch()
    before = counted.turns
    assert len(sftp.listdir(str(tmp_path), soon())) == 1500
    assert counted.turns - before <= 6
    before = counted.turns
    told = sftp.stat_many([str(tmp_path / f"file{number}") for number in range(1600)], soon())
    assert sum(info is not None for info in told) == 1500
    assert told[1500:] == [None] * 100


def test_large_files_come_whole(sftp: SftpSession, tmp_path: Path) -> None:
    data = os.urandom(9_000_001)
    path = tmp_path / "large"
    path.write_bytes(data)
    assert sftp.read_many([(str(path), 0, 1 << 30)], soon(30)) == [data]
    sftp.stat_many([str(path)], soon())
    assert sftp.read_many([(str(path), 7, 8_000_000), (str(path), 9_000_000, 50)], soon(30)) == [
        data[7:8_000_007], data[-1:],
    ]  # fmt: skip
    assert sftp.read_many([(str(path), 10_000_000, 50), (str(path), 0, 0)], soon()) == [b"", b""]


def test_what_grows_is_read_in_one_turn(sftp: SftpSession, counted: Counted, tmp_path: Path) -> None:
    paths = [tmp_path / f"file{number}" for number in range(9)]
    for path in paths:
        path.write_bytes(b"0" * 1000)
    sizes = [1000] * 9
    for round_ in range(4):
        for place, path in enumerate(paths):
            with path.open("ab") as stream:
                stream.write(b"%d" % round_ * (1000 + place))
        before = counted.turns
        found = sftp.read_many([(str(path), size, 50_000) for path, size in zip(paths, sizes, strict=True)], soon())
        assert found == [b"%d" % round_ * (1000 + place) for place in range(9)]
        assert counted.turns - before <= (1 if round_ else 3)
        sizes = [path.stat().st_size for path in paths]


@pytest.mark.parametrize("how", ["replaced", "rewritten", "rotated", "removed", "emptied"])
def test_a_replaced_file_is_not_read_through_the_old_one(sftp: SftpSession, tmp_path: Path, how: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 100)
    os.utime(path, (1000, 1000))
    assert sftp.read_many([(str(path), 50, 100)], soon()) == [b"a" * 50]
    if how == "replaced":
        (tmp_path / "other").write_bytes(b"b" * 100)
        (tmp_path / "other").replace(path)
    elif how == "rotated":
        path.rename(tmp_path / "old")
        path.write_bytes(b"b" * 120)
        os.utime(path, (1000, 1000))
    elif how == "removed":
        path.unlink()
    else:
        path.write_bytes(b"b" * 100 if how == "rewritten" else b"")
    (found,) = sftp.read_many([(str(path), 50, 100)], soon())
    if how == "removed":
        assert isinstance(found, FileNotFoundError)
    else:
        assert found == {"replaced": b"b" * 50, "rewritten": b"b" * 50, "rotated": b"b" * 70, "emptied": b""}[how]


def test_documents_are_opened_anew_and_let_go(sftp: SftpSession, machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    for beat in (b"1", b"2", b"3"):  # the same size, within one second
        (tmp_path / "new").write_bytes(beat)
        (tmp_path / "new").replace(path)
        assert sftp.read_many([(str(path), 0, 1 << 20)], soon()) == [beat]
    assert sftp.realpath("/", soon()) == "/"
    assert _open_in(machine, tmp_path) == []


def test_few_files_are_kept_open(sftp: SftpSession, machine: Machine, tmp_path: Path) -> None:
    paths = [tmp_path / f"file{number}" for number in range(MAX_HANDLES + 60)]
    for path in paths:
        path.write_bytes(b"12")
    assert sftp.read_many([(str(path), 1, 5) for path in paths], soon()) == [b"2"] * len(paths)
    assert sftp.realpath("/", soon()) == "/"
    assert len(_open_in(machine, tmp_path)) == MAX_HANDLES


def _open_in(machine: Machine, folder: Path) -> list[str]:
    """Files below a folder that the machine's processes have open."""
    links = [link for pid in machine.processes() for link in Path(f"/proc/{pid}/fd").iterdir()]
    return [str(to) for link in links if link.is_symlink() and folder in (to := link.readlink()).parents]


def test_a_deadline_leaves_the_session_in_step(sftp: SftpSession, machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    machine.freeze()
    with pytest.raises(NodeSilent):
        sftp.read_many([(str(tmp_path / "file"), 0, 10)], soon(0.1))
    with pytest.raises(NodeSilent):
        sftp.stat_many([str(tmp_path)], soon(0.1))
    machine.thaw()
    assert sftp.read_many([(str(tmp_path / "file"), 1, 10)], soon()) == [b"ata"]
    sftp.read_many([(str(tmp_path / "file"), 0, 10)], soon())
    assert sftp.realpath("/", soon()) == "/"
    assert _open_in(machine, tmp_path) == []
    sftp.close()
    with pytest.raises(NodeLost):
        sftp.realpath("/", soon())


class Liar:
    """A server that answers each question with what the test says; the question's number is put in."""

    def __init__(self, kind: int, body: bytes, number: int | None = None) -> None:
        self._answer = (kind, body, number)
        self._waiting = [struct.pack(">IBI", 5, VERSION, 3)]

    def send(self, data: bytes, deadline: float) -> None:  # noqa: ARG002
        if data[4] == 1:
            return
        kind, body, number = self._answer
        while data:
            length, _, asked = struct.unpack_from(">IBI", data)
            data = data[4 + length :]
            told = asked if number is None else number
            self._waiting.append(struct.pack(">IBI", len(body) + 5, kind, told) + body)

    def receive(self, most: int, deadline: float) -> bytes:  # noqa: ARG002
        return self._waiting.pop(0) if self._waiting else b""

    def close(self) -> None:
        self._waiting.clear()


ENDLESS = struct.pack(">I", 0xFFFFFFFF)


@pytest.mark.parametrize(
    "liar",
    [
        Liar(ATTRS, b"\xff\xff\xff\xff"), Liar(ATTRS, b""), Liar(DATA, b"x"), Liar(ATTRS, b"", 99),
        Liar(ATTRS, struct.pack(">II", 1 << 31, 0xFFFFFFFF)),
    ],
)  # fmt: skip
def test_lies_are_found_out(liar: Liar) -> None:
    session = SftpSession(liar, soon())
    with pytest.raises(NodeLied):
        session.stat_many(["/a"], soon())


@pytest.mark.parametrize("liar", [Liar(NAME, ENDLESS), Liar(HANDLE, ENDLESS), Liar(VERSION, b"")])
def test_endless_lists_are_found_out(liar: Liar) -> None:
    began = time.monotonic()
    session = SftpSession(liar, soon())
    with pytest.raises((NodeLied, OSError)):
        session.listdir("/a", soon())
    with pytest.raises((NodeLied, NodeLost)):
        session.realpath("/a", soon())
    assert time.monotonic() - began < 2


def test_what_is_no_sftp_server_is_found_out() -> None:
    class Banner(Liar):
        def receive(self, most: int, deadline: float) -> bytes:  # noqa: ARG002
            return b"This account is disabled.\n"

    with pytest.raises(NodeLied, match="no SFTP server"):
        SftpSession(Banner(0, b""), soon())
