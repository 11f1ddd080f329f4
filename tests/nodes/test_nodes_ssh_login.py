"""Logging in to real sshds: host keys, keys, agents, certificates, jump hosts; and what runs over a connection."""

from __future__ import annotations

import getpass
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.nodes.ssh import agent, reach, says, settings, soon
from tests.sshd import Fleet, Machine, fleet, make_key, shared_fleet
from tests.writing import wait_until
from ugro_tui.nodes.base import (
    HostKeyChanged,
    HostKeyUnknown,
    NeedsPassphrase,
    NodeAuth,
    NodeBusy,
    NodeError,
    NodeLost,
    NodeSetup,
    NodeSilent,
    NodeUnreachable,
)
from ugro_tui.nodes.connection import SshConnection
from ugro_tui.nodes.login import MAX_KEYS
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.sshconfig import settings_of
from ugro_tui.nodes.transport import connect

__all__ = ["fleet", "shared_fleet"]


@pytest.fixture(scope="module")
def machine(shared_fleet: Fleet) -> Machine:
    """A machine that all tests share."""
    return shared_fleet.add("MaxSessions 3", "LogLevel DEBUG2")


@pytest.fixture
def connection(shared_fleet: Fleet, machine: Machine) -> SshConnection:
    return reach(shared_fleet, machine)


def test_a_connection_runs_commands(connection: SshConnection, machine: Machine) -> None:
    ran = connection.run(["sh", "-c", 'cat; echo "$0 $HOME"; echo bad >&2; exit 3', "it's $x"], b"in\n", soon())
    assert ran.code == 3
    assert ran.out.decode() == f"in\nit's $x {machine.home}\n"
    assert ran.err == b"bad\n"
    assert connection.run(["sh", "-c", "kill -9 $$"], b"", soon()).code == -1
    assert connection.alive
    connection.close()
    wait_until(lambda: not connection.alive, 0.1)
    with pytest.raises(NodeLost):
        connection.run(["true"], b"", soon())


def test_much_goes_both_ways_at_once(connection: SshConnection) -> None:
    ran = connection.run(["cat"], b"x" * 8_000_000, soon(30))
    assert (ran.code, len(ran.out)) == (0, 1 << 20)
    assert connection.run(["head", "-c", "3"], b"x" * 8_000_000, soon(30)).out == b"xxx"
    connection.close()


def test_a_command_has_a_deadline(connection: SshConnection) -> None:
    for line in ("sleep 60", "yes"):
        began = time.monotonic()
        with pytest.raises(NodeSilent):
            connection.run(["sh", "-c", line], b"", soon(0.3))
        assert time.monotonic() - began < 2
    assert says(connection) == "well"
    connection.close()


def test_a_stream_goes_both_ways_while_standard_error_is_flooded(connection: SshConnection) -> None:
    stream = connection.execute("head -c 6000000 /dev/zero >&2; cat", soon())
    stream.send(b"hello", soon())
    assert stream.receive(2, soon()) == b"he"
    assert stream.receive(100, soon()) == b"llo"
    with pytest.raises(NodeSilent):
        stream.receive(1, soon(0.05))
    stream.send(b"x", soon())
    wait_until(lambda: stream.wait(0.0))
    assert stream.receive(0, time.monotonic() - 1) == b"x"  # what has come is given after the deadline too
    stream.end_input()
    assert stream.receive(1, soon()) == b""
    connection.close()


def test_closing_wakes_who_waits(connection: SshConnection) -> None:
    stream = connection.execute("sleep 60", soon())
    threading.Timer(0.1, stream.close).start()
    with pytest.raises(NodeLost):
        stream.receive(1, soon())
    other = connection.execute("sleep 60", soon())
    threading.Timer(0.1, connection.close).start()
    began = time.monotonic()
    with pytest.raises(NodeLost):
        other.receive(1, soon())
    assert time.monotonic() - began < 2


def test_more_sessions_than_are_allowed_are_busy(connection: SshConnection) -> None:
    streams = [connection.execute("cat", soon()) for _ in range(3)]
    with pytest.raises(NodeBusy, match="MaxSessions"):
        connection.execute("true", soon())
    with pytest.raises(NodeBusy):
        connection.sftp(soon())
    streams[0].close()
    wait_until(lambda: _runs(connection))
    connection.close()


def _runs(connection: SshConnection) -> bool:
    try:
        return says(connection) == "well"
    except NodeBusy:
        return False


def test_an_unknown_host_is_refused_before_any_login(fleet: Fleet) -> None:
    machine = fleet.add("LogLevel VERBOSE", known=False)
    with pytest.raises(HostKeyUnknown, match=r"n1: the host key of \[127.0.0.1\]:\d+ \(ssh-ed25519 SHA256:.*ssh -F"):
        reach(fleet, machine)
    fleet.know(machine, "@cert-authority ")
    with pytest.raises(HostKeyUnknown, match="names an authority"):
        reach(fleet, machine)
    wait_until(lambda: machine.log.read_text().count("[preauth]") >= 2)
    assert "publickey" not in machine.log.read_text()
    fleet.know(machine)
    reach(fleet, machine).close()
    assert "Accepted publickey" in machine.log.read_text()


def test_a_host_that_an_authority_vouches_for_needs_its_plain_key_too(fleet: Fleet) -> None:
    authority = make_key(fleet.folder / "authority")
    machine = fleet.add(f"HostCertificate {fleet.folder}/n1/hostkey-cert.pub", known=False, started=False)
    public = machine.host_key.with_name("hostkey.pub")
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "n1", "-h", "-n", "127.0.0.1", public], check=True)
    machine.start()
    kind, text = authority.with_name("authority.pub").read_text().split()[:2]
    fleet.known_hosts.write_text(f"@cert-authority * {kind} {text}\n")
    run = ["ssh", "-F", str(fleet.ssh_config), "-oBatchMode=yes", "n1", "cat", str(public)]
    fetched = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    with pytest.raises(HostKeyUnknown, match=r"known_hosts:1 names an authority.*`\(printf .* cat /etc/ssh/.* >> "):
        reach(fleet, machine)
    with fleet.known_hosts.open("a") as stream:
        stream.write(f"{machine.address} {fetched}")
    assert says(reach(fleet, machine)) == "well"


def test_a_changed_or_revoked_key_is_refused(fleet: Fleet) -> None:
    machine = fleet.add(known=False)
    other = make_key(fleet.folder / "other").with_name("other.pub").read_text().split()
    fleet.known_hosts.write_text(f"{machine.address} {other[0]} {other[1]}\n")
    with pytest.raises(HostKeyChanged, match=r"is not the one in .*known_hosts:1: .*ssh-keygen -f .* -R"):
        reach(fleet, machine)
    fleet.known_hosts.write_text("")
    fleet.know(machine)
    fleet.know(machine, "@revoked ")
    with pytest.raises(HostKeyChanged, match="revoked"):
        reach(fleet, machine)
    assert "Accepted" not in machine.log.read_text()


def test_the_server_is_asked_for_the_key_that_is_known(fleet: Fleet) -> None:
    rsa = make_key(fleet.folder / "rsa", "-t", "rsa", "-b", "2048")
    machine = fleet.add(f"HostKey {rsa}", known=False)
    kind, text = rsa.with_name("rsa.pub").read_text().split()[:2]
    fleet.known_hosts.write_text(f"{machine.address} {kind} {text}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", fleet.known_hosts], check=True, capture_output=True)
    assert says(reach(fleet, machine)) == "well"


@pytest.mark.parametrize("kind", [("-t", "rsa", "-b", "2048"), ("-t", "ecdsa"), ("-t", "rsa", "-m", "PEM"), ()])
def test_each_type_of_key_opens(fleet: Fleet, kind: tuple[str, ...]) -> None:
    key = make_key(fleet.folder / "key", *kind)
    machine = fleet.add()
    machine.authorized_keys.write_bytes(key.with_name("key.pub").read_bytes())
    assert says(reach(fleet, machine, identity_files=(key,))) == "well"


@pytest.mark.parametrize("options", [(), ("-t", "rsa", "-b", "2048", "-m", "PEM"), ("-t", "ecdsa", "-m", "PKCS8")])
def test_a_passphrase_is_asked_for_when_nothing_else_opens(fleet: Fleet, options: tuple[str, ...]) -> None:
    locked = make_key(fleet.folder / "locked", *options, passphrase="sesame")
    machine = fleet.add()
    assert says(reach(fleet, machine, identity_files=(locked, fleet.key))) == "well"
    machine.authorized_keys.write_bytes(locked.with_name("locked.pub").read_bytes())
    secrets = Secrets()
    for typed in (None, "wrong"):
        if typed:
            secrets.put(str(locked), typed)
        with pytest.raises(NeedsPassphrase) as asked:
            reach(fleet, machine, secrets, identity_files=(locked, fleet.key))
        assert asked.value.key == str(locked)
        assert secrets.get(str(locked)) is None
    secrets.put(str(locked), "sesame")
    assert says(reach(fleet, machine, secrets, identity_files=(locked, fleet.key))) == "well"


def test_the_agent_opens_what_is_locked(fleet: Fleet, tmp_path: Path) -> None:
    machine = fleet.add()
    plain = make_key(fleet.folder / "plain", "-t", "rsa", "-b", "2048")
    machine.authorized_keys.write_bytes(plain.with_name("plain.pub").read_bytes())
    with agent(tmp_path, fleet.key, plain) as socket:
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "sesame", "-f", plain], check=True)
        assert says(reach(fleet, machine, identity_files=(plain,), agent=socket)) == "well"
        public = plain.with_name("plain.pub")
        assert says(reach(fleet, machine, identity_files=(public,), agent=socket)) == "well"
        assert says(reach(fleet, machine, identity_files=(), identities_only=False, agent=socket)) == "well"
        with pytest.raises(NodeAuth, match="no key file and no key of an agent"):
            reach(fleet, machine, identity_files=(), identities_only=True, agent=socket)
    with pytest.raises(NeedsPassphrase):
        reach(fleet, machine, identity_files=(plain,), agent=socket)


def test_a_certificate_opens(fleet: Fleet, tmp_path: Path) -> None:
    authority, key = make_key(fleet.folder / "authority"), make_key(fleet.folder / "certified")
    machine = fleet.add(f"TrustedUserCAKeys {authority}.pub", "LogLevel VERBOSE")
    with pytest.raises(NodeAuth):
        reach(fleet, machine, identity_files=(key,))
    subject = ("-I", "someone", "-n", getpass.getuser(), f"{key}.pub")
    subprocess.run(["ssh-keygen", "-q", "-s", authority, *subject], check=True, capture_output=True)
    beside = key.with_name("certified-cert.pub")
    assert says(reach(fleet, machine, identity_files=(key,))) == "well"
    apart = beside.rename(fleet.folder / "apart.pub")
    assert says(reach(fleet, machine, identity_files=(fleet.key, key), certificate_files=(apart,))) == "well"
    with agent(tmp_path, key) as socket:
        held = settings(
            fleet, machine, certificate_files=(apart,), identity_files=(), identities_only=False, agent=socket
        )
        assert says(connect(held, Secrets(), soon())) == "well"
    assert machine.log.read_text().count("ED25519-CERT") >= 3


def test_a_refused_login_says_what_was_tried_and_stops_in_time(fleet: Fleet) -> None:
    keys = [make_key(fleet.folder / f"key{number}") for number in range(8)]
    machine = fleet.add("MaxAuthTries 6", "LogLevel VERBOSE")
    with pytest.raises(NodeAuth, match=r"(?s)n1: the login as .* is refused.*key0, .*key4; no more than 5") as refused:
        reach(fleet, machine, identity_files=tuple(keys))
    assert f"ssh -F {fleet.ssh_config} n1" in str(refused.value)
    assert machine.log.read_text().count("Failed publickey") == MAX_KEYS
    assert "maximum authentication attempts" not in machine.log.read_text()
    strict = fleet.add("MaxAuthTries 2")
    with pytest.raises(NodeAuth, match="it ended the connection"):
        reach(fleet, strict, identity_files=tuple(keys))
    passwords = fleet.add("PubkeyAuthentication no", "PasswordAuthentication yes")
    with pytest.raises(NodeAuth, match="it takes no keys, only"):
        reach(fleet, passwords)


def test_a_broken_key_file_is_passed_over(fleet: Fleet) -> None:
    broken = fleet.folder / "broken"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n-----END OPENSSH PRIVATE KEY-----\n")
    machine = fleet.add()
    assert says(reach(fleet, machine, identity_files=(fleet.folder / "none", broken, fleet.key))) == "well"
    with pytest.raises(NodeAuth, match=r"not usable: .*broken"):
        reach(fleet, machine, identity_files=(broken,))


def test_jump_hosts_are_passed_one_by_one(fleet: Fleet) -> None:
    first, second = fleet.add(), fleet.add(ssh=["ProxyJump n1"])
    third = fleet.add(ssh=["ProxyJump n2"])
    connection = reach(fleet, third)
    assert says(connection, "echo $HOME") == str(third.home)
    ran = connection.run(["cat"], b"x" * 1_000_000, soon())
    assert len(ran.out) == 1_000_000
    assert first.log.read_text().count("Accepted") == 1
    second.disconnect()
    wait_until(lambda: not connection.alive, 5)
    with pytest.raises(NodeLost):
        says(connection)
    third.stop()
    with pytest.raises(NodeUnreachable, match=r"n3: the jump host does not connect to 127.0.0.1"):
        reach(fleet, third)
    first.freeze()
    began = time.monotonic()
    with pytest.raises(NodeSilent, match="n1: connected, but no SSH server answers"):
        connect(settings(fleet, third), Secrets(), soon(0.5))
    assert time.monotonic() - began < 2
    first.thaw()


def test_a_proxy_command_is_used_and_ends_with_the_connection(fleet: Fleet, tmp_path: Path) -> None:
    witness = tmp_path / "ended"
    fleet.add()
    relay = f"sh -c 'trap \"echo >{witness}\" EXIT TERM; ssh -F {fleet.ssh_config} -W %h:%p n1'"
    machine = fleet.add(ssh=[f"ProxyCommand {relay}"])
    connection = reach(fleet, machine)
    assert says(connection, "echo $HOME") == str(machine.home)
    connection.close()
    wait_until(witness.exists, 5)
    with pytest.raises(NodeBusy, match="closed before SSH began"):
        reach(fleet, machine, proxy_command="false")


def test_user_and_port_of_the_node_hold(fleet: Fleet) -> None:
    machine = fleet.add(ssh=["User nobody-here", "Port 1"])
    found = settings_of(f"{fleet.user}@n1:{machine.port}", fleet.ssh_config)
    connection = connect(found, Secrets(), soon())
    assert says(connection) == "well"
    connection.close()


def test_weak_algorithms_are_refused(fleet: Fleet) -> None:
    for line in (
        "Ciphers aes128-cbc",
        "MACs hmac-sha1\nCiphers aes128-ctr",
        "KexAlgorithms diffie-hellman-group14-sha1",
    ):
        machine = fleet.add(*line.split("\n"))
        with pytest.raises(NodeSetup, match="no common algorithm"):
            reach(fleet, machine)


def test_the_fastest_cipher_is_chosen(fleet: Fleet) -> None:
    machine = fleet.add("LogLevel DEBUG3")
    reach(fleet, machine).close()
    assert "kex: client->server cipher: aes128-gcm@openssh.com" in machine.log.read_text()


def test_compression_is_used_where_it_is_configured(fleet: Fleet) -> None:
    machine = fleet.add("LogLevel DEBUG3", ssh=["Compression yes"])
    connection = reach(fleet, machine)
    assert says(connection, "head -c 100000 /dev/zero | wc -c") == "100000"
    assert "compression: zlib" in machine.log.read_text()


def test_a_server_without_sftp_says_so(fleet: Fleet) -> None:
    machine = fleet.add("Subsystem none none")
    connection = reach(fleet, machine)
    with pytest.raises(NodeError, match="refuses to start it: sftp"):
        connection.sftp(soon())
    assert says(connection) == "well"
