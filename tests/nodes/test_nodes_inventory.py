"""Which nodes there are: every way to write them, and what is said of wrong ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.writing import as_ordinary_user
from ugro_tui.core.errors import BadInput
from ugro_tui.nodes.inventory import MAX_HOSTFILE, NodeSettings, NodeSpec, inventory, is_word

ORIGINS = {"nodes": "command line: --nodes", "hostfile": "environment: UGRO_HOSTFILE"}


def unasked() -> Sequence[str]:
    raise AssertionError("the SSH settings were read without need")


def listed(
    *texts: str, aliases: Sequence[str] | None = None, tables: Mapping[str, NodeSettings] | None = None
) -> tuple[NodeSpec, ...]:
    return inventory(texts, None, tables or {}, unasked if aliases is None else lambda: aliases, ORIGINS)


def in_file(path: Path, text: str | bytes) -> tuple[NodeSpec, ...]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return inventory([], path, {}, unasked, ORIGINS)


def targets(specs: Sequence[NodeSpec]) -> list[str]:
    return [spec.target for spec in specs]


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("gpu1,gpu2", "gpu1 gpu2"),
        (" gpu1 , gpu2 ,", "gpu1 gpu2"),
        ("b,a,b,c,a", "b a c"),
        ("n[1-3,7]", "n1 n2 n3 n7"),
        ("n[1-3,7],login", "n1 n2 n3 n7 login"),
        ("n[2,1-3]", "n2 n1 n3"),
        ("n[008-011]", "n008 n009 n010 n011"),
        ("n[8-11]", "n8 n9 n10 n11"),
        ("rack[01-02]n[1-2]", "rack01n1 rack01n2 rack02n1 rack02n2"),
        ("[1-2].lab", "1.lab 2.lab"),
        ("n[5]", "n5"),
    ],
)
def test_lists_and_nodelists(text: str, hosts: str) -> None:
    found = listed(text)
    assert targets(found) == hosts.split()
    assert [spec.name for spec in found] == hosts.split()


def test_several_texts_are_one_list() -> None:
    assert targets(listed("b,n[1-2]", "a", "n[2-3]")) == ["b", "n1", "n2", "a", "n3"]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("me@gpu1", NodeSpec("gpu1", "gpu1", "me")),
        ("gpu1:2222", NodeSpec("gpu1-2222", "gpu1", port=2222)),
        ("me@gpu1:2222", NodeSpec("gpu1-2222", "gpu1", "me", 2222)),
        ("me@lab@gpu1", NodeSpec("gpu1", "gpu1", "me@lab")),
        ("::1", NodeSpec("__1", "::1")),
        ("[::1]", NodeSpec("__1", "::1")),
        ("me@[::1]:2222", NodeSpec("__1-2222", "::1", "me", 2222)),
        ("[fe80::1%eth0]:22", NodeSpec("fe80__1_eth0-22", "fe80::1%eth0", port=22)),
        ("rechner-ä", NodeSpec("rechner-_", "rechner-ä")),
        ("local", NodeSpec("local", "local")),
    ],
)
def test_one_node_with_user_and_port(text: str, spec: NodeSpec) -> None:
    assert listed(text) == (spec,)


def test_user_and_port_hold_for_a_whole_nodelist() -> None:
    assert listed("me@n[1-2]:22") == (NodeSpec("n1-22", "n1", "me", 22), NodeSpec("n2-22", "n2", "me", 22))


def test_without_any_name_it_is_this_machine() -> None:
    assert listed() == (NodeSpec("local", "local"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,n[1-3", r"'a,n[1-3', position 4: the bracket is not closed: write n[1-3]"),
        ("a,n1]", "'a,n1]', position 5: a bracket is closed that was not opened"),
        ("n[[1]]", "'n[[1]]', position 3: a bracket within a bracket"),
        ("n[]", "'n[]', position 3: '' is neither a number nor a range such as 1-3"),
        ("n[1,x-2]", "'n[1,x-2]', position 5: 'x-2' is neither a number"),
        ("a, n[1,2,]", "'a, n[1,2,]', position 10: '' is neither a number"),
        ("n[1-]", "position 3: '1-' is neither a number"),
        ("n[3-1]", "position 3: the range 3-1 runs backwards: write 1-3"),
        ("n[1-4097]", "position 3: more than 4096 nodes: name fewer"),
        ("n[0-999999999999999]", "position 3: more than 4096 nodes"),
        ("a,n[1-100]m[1-100]", "position 3: more than 4096 nodes"),
        ("a[1-4000],b[1-97]", "more than 4096 nodes: name fewer"),
        ("n[" + "9" * 5000 + "]", "is neither a number"),
        (" , ", "names no node: give names such as gpu1,gpu2"),
        ("-oProxyCommand=x", "'-oProxyCommand=x' is not a node: write host, user@host or user@host:port"),
        ("me@-x", "'me@-x' is not a node"),
        ("-me@x", "'-me@x' is not a node"),
        ("@x", "'@x' is not a node"),
        ("me@", "'me@' is not a node"),
        ("a b", "'a b' is not a node"),
        ("a;b", "'a;b' is not a node"),
        ("$(a)", "'$(a)' is not a node"),
        ("../x", "'../x' is not a node"),
        ("a\x1b[2]", "is not a node"),
        ("a:", "'a:': '' is not a port: give a number from 1 to 65535"),
        ("a:0", "'a:0': '0' is not a port"),
        ("a:65536", "'a:65536': '65536' is not a port"),
        ("a:ssh", "'a:ssh': 'ssh' is not a port"),
        ("a:١", "is not a port"),
        ("[::1]22", "is not a node"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=r"^command line: --nodes: ") as caught:
        listed(text)
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_as_many_nodes_as_there_may_be() -> None:
    assert len(listed("n[0001-4096]")) == 4096
    assert len(listed("n[0001-4096]", "n[0001-4096]")) == 4096


def test_patterns_are_matched_with_the_aliases() -> None:
    aliases = ["gpu1", "gpu2", "gpu10", "login", "gpu*", "!gpu3", "-gpu9", "gpu;x"]
    assert targets(listed("gpu*", aliases=aliases)) == ["gpu1", "gpu2", "gpu10"]
    assert targets(listed("login,gpu?", aliases=aliases)) == ["login", "gpu1", "gpu2"]
    assert listed("me@*0:22", aliases=aliases) == (NodeSpec("gpu10-22", "gpu10", "me", 22),)
    assert targets(listed("g.u*,a1", aliases=["g.u1", "gpu1"])) == ["g.u1", "a1"]


def test_a_pattern_that_fits_nothing_names_what_there_is() -> None:
    with pytest.raises(BadInput, match=r"--nodes: 'x\*' fits no Host alias .*\(there are: a, b\): name the nodes"):
        listed("x*", aliases=["a", "b"])
    with pytest.raises(BadInput, match=r"\(there are none\)"):
        listed("*", aliases=[])


def test_names_are_unique_whatever_the_case_and_the_order() -> None:
    entries = ["GPU", "gpu", "a@box", "b@box", "box:1", "box:2", "x_y", "x%y", "LOCAL", "me@local", "local"]
    found = {spec: spec.name for spec in listed(*entries)}
    assert len({name.casefold() for name in found.values()}) == len(entries)
    assert {spec: spec.name for spec in listed(*reversed(entries))} == found
    assert {"box-a", "box-b", "box-1", "box-2", "local-me", "local"} < set(found.values())


def test_a_node_keeps_its_name_when_another_port_is_added() -> None:
    assert listed("box:1")[0].name == listed("box:2", "box:1")[1].name == "box-1"


# Beyond U+2FFFF there are only signs that take no room.
HOSTS = st.text(
    st.characters(max_codepoint=0x2FFFF, exclude_categories=["C", "Z"], exclude_characters="'`\"$\\;&<>|(){}[],/@:*?"),
    min_size=1,
)


@settings(deadline=None)
@given(st.lists(HOSTS.filter(is_word), min_size=1, max_size=8, unique=True))
def test_every_name_can_name_a_directory_of_its_own(hosts: list[str]) -> None:
    found = listed(*hosts)
    assert targets(found) == hosts
    assert len({spec.name.casefold() for spec in found}) == len(hosts)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,140}", spec.name) for spec in found)


def test_tables_fill_in_what_was_not_written_with_the_node() -> None:
    tables = {"a": NodeSettings("you", 2222, "~/x"), "b-22": NodeSettings("by-name"), "b": NodeSettings("by-host")}
    assert listed("a,me@a:1,b:22,b,c", tables=tables) == (
        NodeSpec("a", "a", "you", 2222, "~/x"),
        NodeSpec("a-1", "a", "me", 1, "~/x"),
        NodeSpec("b-22", "b", "by-name", 22),
        NodeSpec("b", "b", "by-host"),
        NodeSpec("c", "c"),
    )


def test_a_hostfile_names_a_host_on_each_line(tmp_path: Path) -> None:
    text = (
        "# ours\r\n\n  gpu1 slots=8\nme@gpu2:2222 slots=4 max_slots=8 # the old one\nn[1-2]\ngpu1 slots=4\ngpu3:5000\n"
    )
    found = in_file(tmp_path / "hosts", text)
    assert targets(found) == ["gpu1", "gpu2", "n1", "n2", "gpu3"]
    assert found[1] == NodeSpec("gpu2-2222", "gpu2", "me", 2222)
    assert found[4].port == 5000


def test_nodes_and_hostfile_are_merged(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_bytes(b"\xef\xbb\xbfa\nb")
    assert targets(inventory(["c,b"], tmp_path / "hosts", {}, unasked)) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nn[1-2\n", r"hosts: line 2: 'n\[1-2', position 2: the bracket is not closed"),
        ("a\n\n-x slots=8\n", "hosts: line 3: '-x' is not a node"),
        ("10.0.0.1 gpu1\n", "hosts: line 1: 'gpu1': behind a host stand only settings such as slots=8"),
        (
            "a\ngpu1:8\n",
            r"hosts: line 2: gpu1:8: a port, or a number of slots\? Write 'gpu1 slots=8'; a port goes into "
            r'the settings file: \[node."gpu1"\] port = 8',
        ),
        ("gpu1:22\n", "line 1: gpu1:22: a port, or a number of slots"),
        ("# nothing\n\n", "environment: UGRO_HOSTFILE: .*hosts names no node: write one host on each line"),
        (b"a\n\xff\n", "environment: UGRO_HOSTFILE: .*hosts is not a text in UTF-8"),
        (b"a\n" * MAX_HOSTFILE, "environment: UGRO_HOSTFILE: .*hosts is larger than a hostfile can be"),
        ("\n".join(f"n{number}" for number in range(4097)), "hosts: line 4097: more than 4096 nodes"),
    ],
)
def test_a_bad_hostfile_is_said_with_file_and_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        in_file(tmp_path / "hosts", text)


def test_a_hostfile_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"environment: UGRO_HOSTFILE: .*none cannot be read: No such file or directory"):
        inventory([], tmp_path / "none", {}, unasked, ORIGINS)
    (tmp_path / "closed").touch(mode=0)
    with as_ordinary_user(), pytest.raises(BadInput, match="closed cannot be read: Permission denied: name another"):
        inventory([], tmp_path / "closed", {}, unasked, ORIGINS)
