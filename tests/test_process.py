# SPDX-License-Identifier: Apache-2.0
"""Programs that run for long: what is heard of them, and that nothing of them is left, however the wait ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gatewright.process import Running, run

FAMILY = 'sleep 1000 & echo $!; sh -c "sleep 1001 & echo \\$!; wait" & wait'
"""Starts two programs of its own, one of them a grandchild, tells their numbers, and waits."""


def gone(pid: int) -> bool:
    """Whether a process has ended, which takes a moment after its kill."""
    for _ in range(500):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_lines_and_status(tmp_path: Path) -> None:
    script = "printf 'one\\r\\ntwo\\n'; echo three >&2; printf 'caf\\351'; pwd >where; cat; echo $SAID >said; exit 7"
    status, lines = run(["sh", "-c", script], tmp_path, {**os.environ, "SAID": "hello"})
    assert (status, lines) == (7, ["one", "two", "three", "caf\ufffd"])
    assert (tmp_path / "where").read_text().strip() == str(tmp_path.resolve())
    assert (tmp_path / "said").read_text() == "hello\n"


def test_lines_come_while_it_runs(tmp_path: Path) -> None:
    """It goes on only after its first line was read."""
    script = "echo first; while [ ! -e seen ]; do sleep 0.05; done; echo second"
    with Running(["sh", "-c", script], tmp_path) as running:
        lines = running.lines(60)
        assert next(lines) == "first"
        (tmp_path / "seen").touch()
        assert list(lines) == ["second"] and running.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_signal_is_told_as_shells_tell_it(tmp_path: Path, number: int) -> None:
    assert run(["sh", "-c", f"kill -{int(number)} $$"], tmp_path) == (128 + number, [])


def test_arguments_are_nothing_to_a_shell(tmp_path: Path) -> None:
    words = ["a b", "$HOME", "'", '"', "; exit 3", "*", ""]
    assert run([sys.executable, "-c", "import sys; print(sys.argv[1:])", *words], tmp_path) == (0, [repr(words)])


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    status, lines = run([str(tmp_path / "none")], tmp_path)
    assert status == 127 and "not found" in lines[0]


@pytest.mark.parametrize("script", [FAMILY, f"exec >&-; {FAMILY}"], ids=["running", "silent"])
def test_a_time_limit_ends_all_of_it(tmp_path: Path, script: str) -> None:
    script = script.replace("echo", "echo >>pids")
    with Running(["sh", "-c", script], tmp_path) as running, pytest.raises(TimeoutError):
        list(running.lines(1.0))
    pids = [int(p) for p in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2 and all(map(gone, pids))


def test_what_it_leaves_running_ends_with_it(tmp_path: Path) -> None:
    status, lines = run(["sh", "-c", "sleep 1000 & echo $!"], tmp_path)
    assert status == 0 and gone(int(lines[0]))


def test_what_went_into_a_session_of_its_own_holds_nothing_up(tmp_path: Path) -> None:
    status, lines = run(["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.5"], tmp_path, seconds=60)
    os.kill(int(lines[0]), signal.SIGKILL)
    assert status == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_this_process_does(tmp_path: Path, number: int) -> None:
    """Whether that was killed, ended or interrupted."""
    code = (
        "import sys; from pathlib import Path; from gatewright.process import Running\n"
        f"with Running(['sh', '-c', {FAMILY!r}], Path('.')) as running:\n"
        "    for line in running.lines(): print(line, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:  # fmt: skip
        pids = [int(process.stdout.readline()) for _ in range(2)]  # type: ignore[union-attr]
        process.send_signal(number)
        assert process.wait() != 0
    assert all(map(gone, pids))
