"""SSH settings as OpenSSH resolves them, names of machines, and known_hosts files."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sshd import make_key
from ugro_tui.nodes.base import HostKeyChanged, HostKeyUnknown, NodeSetup
from ugro_tui.nodes.hostkeys import HostKeys, Trust, fingerprint
from ugro_tui.nodes.hostnames import Target, parse_target
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.sshconfig import SshSettings, host_aliases, settings_of

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is missing (apt-get install openssh-client)")

Config = Callable[[str], Path]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    def write(text: str) -> Path:
        path = tmp_path / "ssh_config"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("gpu1", Target("gpu1")), ("bob@gpu1", Target("gpu1", "bob")), ("gpu1:2222", Target("gpu1", "", 2222)),
        ("bob@gpu1.lab:22", Target("gpu1.lab", "bob", 22)), ("::1", Target("::1")), ("bob@::1", Target("::1", "bob")),
        ("[::1]:22", Target("::1", "", 22)), ("a@b@gpu1", Target("gpu1", "a@b")), ("", None), ("-oPort=1", None),
        ("bob@-oProxyCommand=id", None), ("-l@gpu1", None), ("gpu 1", None), ("gpu;id", None), ("$(id)", None),
        ("gpu:99999", None), ("gpu\n1", None), ("bob@", None), ("gpu:x", None),
    ],
)  # fmt: skip
def test_a_machine_is_spelled_in_few_ways(text: str, target: Target | None) -> None:
    if target is None:
        with pytest.raises(NodeSetup, match="write host, user@host or user@host:port"):
            settings_of(text)
    else:
        found = parse_target(text)
        assert (found.host, found.user, found.port) == (target.host, target.user, target.port)


def test_an_alias_is_never_an_option(tmp_path: Path, config: Config) -> None:
    witness = tmp_path / "witness"
    for alias in (f"-oProxyCommand=touch {witness}", "-V", "--"):
        with pytest.raises(NodeSetup):
            settings_of(alias, config(""))
    assert not witness.exists()


def test_settings_are_those_of_ssh(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UGRO_TEST", "there")
    (tmp_path / "more").write_text("Host gpu1\n  User ann\n  Port 2200\n  ConnectTimeout 7\n")
    path = config(
        f"Include {tmp_path}/more\n"
        "Host gpu*\n  HostName %h.Example.org\n  User someone\n  Port 1\n  Compression yes\n  IdentitiesOnly yes\n"
        f"  IdentityFile {tmp_path}/%r-key\n  IdentityFile ~/second\n  CertificateFile {tmp_path}/cert\n"
        f"  UserKnownHostsFile {tmp_path}/a {tmp_path}/b\n  GlobalKnownHostsFile none\n  IdentityAgent none\n"
        "Match host gpu1.example.org\n  HostKeyAlias real\n"
    )
    found = settings_of("gpu1", path)
    assert (found.host, found.port, found.user, found.connect_timeout) == ("gpu1.example.org", 2200, "ann", 7.0)
    assert found.identity_files[0] == tmp_path / "ann-key"
    assert found.identity_files[1].is_absolute()
    assert found.identity_files[1].name == "second"
    assert found.certificate_files == (tmp_path / "cert",)
    assert found.user_known_hosts == (tmp_path / "a", tmp_path / "b")
    assert found.global_known_hosts == ()
    assert (found.identities_only, found.compression, found.agent) == (True, True, "")
    assert found.known_name == "real"
    assert found.command == f"ssh -F {path} gpu1"
    assert settings_of("gpu2", path).known_name == "[gpu2.example.org]:1"


def test_what_a_node_names_itself_holds_before_the_config(config: Config) -> None:
    path = config("Host gpu\n  User ann\n  Port 2200\n")
    assert [(one.user, one.port) for one in (
        settings_of("gpu", path), settings_of("bob@gpu:5", path), settings_of("bob@gpu:5", path, user="eve", port=6),
    )] == [("ann", 2200), ("bob", 5), ("eve", 6)]  # fmt: skip


def test_the_agent_is_the_configured_one(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/standard")
    monkeypatch.setenv("OTHER", "/tmp/other")
    path = config("Host a\n  IdentityAgent none\nHost b\n  IdentityAgent $OTHER\nHost c\n  IdentityAgent /tmp/%r\n")
    assert [settings_of(name, path, user="u").agent for name in "abcd"] == ["", "/tmp/other", "/tmp/u", "/tmp/standard"]


def test_jump_hosts_are_resolved_hop_by_hop(config: Config) -> None:
    path = config(
        "Host far\n  ProxyJump mid,bob@[::1]:23\n  ProxyCommand no\nHost mid\n  ProxyJump near\n  Port 2\n"
        "Host near\n  User ann\n  ProxyCommand nc %h %p\n"
    )
    found = settings_of("far", path)
    assert [(hop.alias, hop.port, hop.proxy_command) for hop in (*found.jumps, found)] == [
        ("near", 22, "nc near 22"), ("mid", 2, ""), ("::1", 23, ""), ("far", 22, ""),
    ]  # fmt: skip
    assert (found.jumps[0].user, found.jumps[2].user) == ("ann", "bob")
    assert all(hop.jumps == () for hop in found.jumps)


@pytest.mark.parametrize("text", ["Host a\n ProxyJump b\nHost b\n ProxyJump a\n", "Host *\n ProxyJump x%h\n"])
def test_jumps_that_lead_nowhere_are_refused(config: Config, text: str) -> None:
    with pytest.raises(NodeSetup, match=r"circle or too far: a -> |is no name|refuses its settings"):
        settings_of("a", config(text))


def test_bad_settings_and_a_missing_ssh_are_named(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NodeSetup, match=r"(?s)gpu: ssh refuses its settings: .*ssh_config.*: correct "):
        settings_of("gpu", config("Host gpu\n  NoSuchOption yes\n"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeSetup, match=r"the program ssh is missing.*apt-get install openssh-client"):
        settings_of("gpu", config(""))


def test_aliases_are_the_literal_names(tmp_path: Path, config: Config) -> None:
    (tmp_path / "one.conf").write_text("host=gpu3\nHost gpu*\n")
    (tmp_path / "two.conf").write_text(f'Include {tmp_path}/two.conf\nHost gpu4 "gpu5" # gpu6\n')
    path = config(
        f"Host gpu1 gpu2 !gpu9 *.lab\n  HostName x\nInclude {tmp_path}/*.conf {tmp_path}/none\nHost gpu1 -x\n"
    )
    assert host_aliases(path) == ["gpu1", "gpu2", "gpu3", "gpu4", "gpu5"]
    assert host_aliases(tmp_path / "missing") == []


def test_a_passphrase_shows_nowhere() -> None:
    secrets = Secrets()
    secrets.put("key", "sesame")
    secrets.wrong("key", "something else")
    assert secrets.get("key") == "sesame"
    assert "sesame" not in repr(secrets) + str(vars(secrets).keys())
    secrets.wrong("key", "sesame")
    assert secrets.get("key") is None


class Book:
    """A known_hosts file, and two keys."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "known_hosts"
        self.ed, self.other = (self._key(folder / name) for name in ("a", "b"))
        self.ecdsa = self._key(folder / "c", "-t", "ecdsa")

    def _key(self, path: Path, *options: str) -> tuple[str, bytes, str]:
        kind, text = make_key(path, *options).with_name(f"{path.name}.pub").read_text().split()[:2]
        return kind, base64.b64decode(text), f"{kind} {text}"

    def write(self, *lines: str) -> None:
        self.path.write_text("".join(f"{line}\n" for line in lines))

    def trust(self, name: str, key: tuple[str, bytes, str]) -> Trust:
        return HostKeys([self.path, self.path.with_name("missing")], name).trust(key[0], key[1])


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_keys_are_known_by_name_pattern_and_port(book: Book) -> None:
    ed = book.ed[2]
    book.write(
        "# a comment", "", "gpu1", "gpu1 ssh-ed25519 not-base64", f"gpu1 ssh-rsa {ed.split()[1]}", "\x00\xff",
        f"@strange gpu1 {ed}", f"\tGPU2,gpu3 {ed} comment", f"*.lab,!bad.lab {ed}", f"gpu?? {ed}",
        f"[gpu4]:2222 {ed}", f"gpu5 {ed}",
    )  # fmt: skip
    known = ["gpu2", "gpu3", "x.lab", "gpu12", "[gpu4]:2222", "[gpu5]:2222"]
    unknown = ["gpu1", "bad.lab", "gpu4", "[gpu4]:22", "lab", "gpu123"]
    assert {name for name in known + unknown if book.trust(name, book.ed) is Trust.KNOWN} == {*known}
    assert {book.trust(name, book.ed) for name in unknown} == {Trust.UNKNOWN}


def test_changed_revoked_and_other_types(book: Book) -> None:
    book.write(
        f"gpu1 {book.ed[2]}", f"gpu1 {book.ecdsa[2]}", f"gpu2 {book.ecdsa[2]}", f"@cert-authority gpu3 {book.ed[2]}"
    )
    assert book.trust("gpu1", book.other) is Trust.CHANGED
    assert book.trust("gpu2", book.other) is Trust.UNKNOWN
    assert book.trust("gpu3", book.ed) is Trust.UNKNOWN
    assert HostKeys([book.path], "gpu1").kinds == ("ssh-ed25519", "ecdsa-sha2-nistp256")
    book.write(f"gpu1 {book.ed[2]}", f"gpu1 {book.other[2]}", f"@revoked * {book.ed[2]}")
    assert book.trust("gpu1", book.ed) is Trust.REVOKED
    assert book.trust("gpu1", book.other) is Trust.KNOWN


def test_hashed_names_are_those_of_ssh_keygen(book: Book) -> None:
    book.write(
        f"gpu1 {book.ed[2]}", f"[gpu2]:2222 {book.ed[2]}", f"|1|bad|hash {book.ed[2]}", f"|2|eA==|eA== {book.ed[2]}"
    )
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", book.path], check=True, capture_output=True)
    assert "gpu1" not in book.path.read_text()
    before = book.path.read_bytes()
    assert book.trust("gpu1", book.ed) is Trust.KNOWN
    assert book.trust("[gpu2]:2222", book.ed) is Trust.KNOWN
    assert book.trust("gpu2", book.ed) is Trust.UNKNOWN
    assert book.path.read_bytes() == before


def test_the_patterns_of_a_hostile_file_cost_no_time(book: Book) -> None:
    book.write(f"{'*a' * 30}b {book.ed[2]}", f"gpu1 {book.ed[2]}")
    assert HostKeys([book.path], "a" * 200).kinds == ()


def test_refusals_name_the_fingerprint_and_the_remedy(book: Book, tmp_path: Path) -> None:
    shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / "b.pub"], capture_output=True, text=True, check=True).stdout
    assert fingerprint(book.other[1]) == shown.split()[1]
    settings = SshSettings(alias="g", host="gpu1", port=2222, user="u", config=tmp_path / "ssh_config")
    book.write(f"[gpu1]:2222 {book.ed[2]}")
    with pytest.raises(HostKeyChanged) as changed:
        HostKeys([book.path], "[gpu1]:2222").check(book.other[0], book.other[1], settings)
    for part in (fingerprint(book.other[1]), f"{book.path}:1", f"ssh-keygen -f {book.path} -R '[gpu1]:2222'"):
        assert part in str(changed.value)
    book.write(f"@cert-authority * {book.ed[2]}")
    with pytest.raises(HostKeyUnknown, match="certificates are not verified here") as unknown:
        HostKeys([book.path], "[gpu1]:2222").check(book.other[0], book.other[1], settings)
    fetch = f"ssh -F {tmp_path}/ssh_config g cat /etc/ssh/ssh_host_ed25519_key.pub) >> {book.path}`"
    for part in (fingerprint(book.other[1]), "ssh-ed25519", f"{book.path}:1 names an authority", fetch):
        assert part in str(unknown.value)
    with pytest.raises(HostKeyUnknown, match=r"cat /etc/ssh/ssh_host_ecdsa_key\.pub\)"):
        HostKeys([book.path], "[gpu1]:2222").check(*book.ecdsa[:2], settings)
    book.write(f"@revoked [gpu1]:2222 {book.other[2]}")
    with pytest.raises(HostKeyChanged, match="revoked"):
        HostKeys([book.path], "[gpu1]:2222").check(book.other[0], book.other[1], settings)
