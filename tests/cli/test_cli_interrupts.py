"""Signals while something is changed: the first is an exception, the others wait."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ugro_tui.interrupts import taking_back


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_ends_what_is_done_and_no_other_ends_the_taking_back(
    number: signal.Signals, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    taken_back: list[bool] = []

    def work() -> None:
        with taking_back():
            try:
                os.kill(os.getpid(), number)
                threading.Event().wait(60)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), number)
                taken_back.append(True)

    with pytest.raises(SystemExit) as end:
        work()
    assert (end.value.code, taken_back) == (code, [True])
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err.count("interrupted: what was begun is ended everywhere") == 1


def test_what_is_ignored_stays_so_and_other_threads_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with taking_back():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    monkeypatch.setattr(signal, "signal", None)  # as on a thread where it must not be called
    thread = threading.Thread(target=lambda: taking_back().__enter__())
    thread.start()
    thread.join()
