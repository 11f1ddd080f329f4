"""Stacks as py-spy and faulthandler write them."""

from __future__ import annotations

import pytest

from ugro_tui.core.stacks import Frame, main_thread, parse_stacks

PYSPY = """Process 7: python train.py
Python v3.11.7 (/usr/bin/python3.11)

Thread 7 (idle): "MainThread"
    wait (/usr/lib/python3.11/threading.py:327)
    all_reduce (/venv/lib/python3.11/site-packages/torch/distributed/distributed_c10d.py:2501)
    train_step (/home/someone/code (old)/train.py:88)
    <module> (/home/someone/code (old)/train.py:10)
Thread 0x7F21 (active)
    work (/x/loader.py:3)
Thread 8 (active+gil): "pin memory (1)"
"""
FAULT = """Thread 0x00007f2a9db656c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait
  File "/x/ugro_emitter/heartbeat.py", line 44 in _run

Thread 0x00007f2a9db65000 [loader] (most recent call first):
  <no Python frame>

Current thread 0x00007f2a9fc70b80 (most recent call first):
  File "<frozen importlib._bootstrap>", line 5 in call
  File "/x/model.py", line 4 in forward
  File "/x/train.py", line 8 in <module>
"""


def test_py_spys_threads() -> None:
    threads = parse_stacks(PYSPY)
    assert [(thread.name, len(thread.frames)) for thread in threads] == [
        ("MainThread", 4),
        ("", 1),
        ("pin memory (1)", 0),
    ]
    main = main_thread(threads)
    assert main is threads[0]
    assert main.frames[2] == Frame("train_step", "/home/someone/code (old)/train.py", 88)
    assert main.place == "wait (threading.py:327), called from train_step (train.py:88)"


def test_faulthandlers_threads_the_main_one_last() -> None:
    threads = parse_stacks(FAULT)
    assert [(thread.name, len(thread.frames)) for thread in threads] == [("", 2), ("loader", 0), ("", 3)]
    main = main_thread(threads)
    assert main is threads[2]
    assert main.place == "call (<frozen importlib._bootstrap>:5), called from forward (model.py:4)"
    assert threads[0].place == "wait (threading.py:331)"  # no line of the user's
    assert threads[1].place == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "    f (a.py:1)\n",
        "Thread",
        'Thread 1 (idle): "M"\n    f (a.py:99999999999999999999)\n',
        "\0" * 100,
    ],
)
def test_what_is_no_stack_has_no_frames(text: str) -> None:
    assert [thread.frames for thread in parse_stacks(text) if thread.frames] == []


def test_names_are_cleaned() -> None:
    text = 'Thread 1 (idle): "\x1b[31mMain"\n    f\x1b[2J (/x/a\x07.py:1)\n'
    (thread,) = parse_stacks(text)
    assert (thread.name, thread.frames[0].function, thread.frames[0].file) == ("␛[31mMain", "f␛[2J", "/x/a␇.py")


def test_no_stacks_have_no_main_thread() -> None:
    assert main_thread(()) is None
