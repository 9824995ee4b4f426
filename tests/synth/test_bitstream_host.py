# SPDX-License-Identifier: Apache-2.0
"""`gatewright bitstream --host`: the run on another machine, which goes on when the connection ends.

Through a stand-in for ssh, that runs the same lines of shell here, in another home; and through a real sshd where there
is one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.board.test_deploy import Server, server
from tests.synth import stand_in
from tests.synth.test_bitstream import PLAIN, all_gone, build, contents, made, run, text

from gatewright.board.bundle import bundle as make_bundle
from gatewright.build import Build
from gatewright.runtime.bundle import Bundle

__all__ = ["build", "made", "server"]
HOST = ("--host", "me@station")


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A machine with the stand-in for Vivado behind a settings64.sh; its home."""

    def put(end: str = "ok", drop: str = "", version: str = stand_in.VERSION, fmax: str = "150") -> Path:
        home, tools = tmp_path / "home", tmp_path / "tools"
        home.mkdir(exist_ok=True)
        folder = tmp_path / "Xilinx" / "Vivado" / version
        stand_in.install(folder / "bin", "vivado")
        (folder / "settings64.sh").write_text(f"echo loud\nexport PATH={folder}/bin:$PATH\n")
        stand_in.install(tools, "ssh")
        monkeypatch.setenv("PATH", f"{tools}:{PLAIN}")
        for name, value in {"STAND_IN": end, "STAND_IN_SSH": drop, "STAND_IN_HOME": str(home), "STAND_IN_FMAX": fmax,
                            "STAND_IN_PIDS": str(tmp_path / "pids")}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        return home

    return put


def setup(tmp_path: Path, version: str = stand_in.VERSION) -> tuple[str, str]:
    return "--setup", str(tmp_path / "Xilinx" / "Vivado" / version / "settings64.sh")


def there(home: Path) -> list[str]:
    """What is on the other machine, but for the pieces of a run."""
    paths = (p.relative_to(home) for p in home.rglob("*") if p.is_dir())
    return sorted(p.as_posix() for p in paths if len(p.parts) < 5)


def test_a_run_there_comes_back_whole_and_leaves_nothing(build: Path, station: Callable[..., Path],
                                                         tmp_path: Path) -> None:  # fmt: skip
    home = station()
    result = run(build, *HOST, *setup(tmp_path))
    assert result.exit_code == 0, result.stderr
    assert "copying to me@station" in result.stderr and "Vivado: routing" in result.stderr
    folder = build / "bitstream"
    assert {p.name for p in folder.iterdir()} == {
        "README.txt", "build.tcl", "log", "out", "project.json", "reports", "result.json",
    }  # fmt: skip
    log = (folder / "log").read_text().splitlines()
    assert log[0] == "" and log[1].startswith("****** Vivado v2022.2") and log[-1] == "gatewright: done"
    assert Bundle(build / "bundle").record["bitstream"]["kind"] == "bit"
    assert list(json.loads((folder / "result.json").read_text())["seconds"]) == list(stand_in.PHASES)
    assert there(home) == [] and all_gone(tmp_path / "pids")


def test_the_log_here_is_the_log_there(build: Path, station: Callable[..., Path], tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Line for line: the same run on this machine."""
    station()
    assert run(build, *HOST, *setup(tmp_path)).exit_code == 0
    remote = (build / "bitstream" / "log").read_text()
    monkeypatch.setenv("PATH", f"{tmp_path}/Xilinx/Vivado/{stand_in.VERSION}/bin:{PLAIN}")
    assert run(build).exit_code == 0
    assert (build / "bitstream" / "log").read_text() == remote


def test_without_the_tool_there(build: Path, station: Callable[..., Path]) -> None:
    station()
    result = run(build, *HOST)
    assert result.exit_code == 1
    assert "not_run me@station: vivado is not on the PATH of a login shell there: name what puts it there" in text(
        result
    )
    assert (build / "bitstream" / "build.tcl").is_file()


def test_a_file_that_is_not_there(build: Path, station: Callable[..., Path]) -> None:
    station()
    result = run(build, *HOST, "--setup", "/no/such/settings64.sh")
    assert result.exit_code == 1 and "--setup '/no/such/settings64.sh' is no file that can be read there" in text(
        result
    )


def test_an_old_release_there(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    station(version="2019.1")
    result = run(build, *HOST, *setup(tmp_path, "2019.1"))
    assert result.exit_code == 1 and "is Vivado 2019.1: the scripts need 2020.2 or newer" in text(result)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("licence", "fails during synthesis (exit status 1): Vivado has no licence for Synthesis"),
        ("killed", "fails during placement (exit status 137): something killed it"),
        ("timing", "timing failed at 100 MHz: the slowest path is"),
    ],
)
def test_a_failure_there_is_told_here(build: Path, station: Callable[..., Path], tmp_path: Path, end: str,
                                      says: str) -> None:  # fmt: skip
    home = station(end, fmax="90" if end == "timing" else "150")
    result = run(build, *HOST, *setup(tmp_path))
    assert result.exit_code == 1 and says in text(result), text(result)
    assert there(home) == [] and all_gone(tmp_path / "pids") and not (build / "bundle").exists()


# --- the connection ---------------------------------------------------------------------------------------------------


def test_nobody_answers(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    station(drop="command -v")
    result = run(build, *HOST, *setup(tmp_path))
    assert result.exit_code == 1
    assert "me@station: ssh: connect to host me@station port 22: Connection refused: nothing answers ssh" in text(
        result
    )


def test_the_run_goes_on_without_the_connection_and_is_taken_up(
    build: Path, station: Callable[..., Path], tmp_path: Path
) -> None:
    make_bundle(build).write(build / "bundle")
    before = contents(build / "bundle")
    home = station(drop="tail -n +1 after 12")
    result = run(build, *HOST, *setup(tmp_path))
    assert result.exit_code == 1
    said, place = text(result), f"gatewright/bitstream/net_{Build.open(build).kernel.hash[:8]}_"
    assert f"me@station: the connection ended; the run goes on there, in {place}" in said
    assert "the same command follows it and fetches what it makes, and this ends it: ssh me@station" in said
    assert contents(build / "bundle") == before and not (build / "bitstream" / "result.json").exists()
    assert len(there(home)) == 6  # the folders down to rtl, kernel, bitstream
    station()
    runs = (tmp_path / "pids").read_text()
    result = run(build, *HOST, *setup(tmp_path))
    assert result.exit_code == 0, result.stderr
    assert "taking up the run on me@station" in result.stderr
    assert (tmp_path / "pids").read_text() == runs  # nothing was started a second time
    assert json.loads((build / "bitstream" / "result.json").read_text())["seconds"] == {}
    assert Bundle(build / "bundle").record["bitstream"]["kind"] == "bit" and there(home) == []


def test_what_is_told_to_end_a_run_ends_it(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    home = station("hang", drop="tail -n +1 after 9")
    said = text(run(build, *HOST, *setup(tmp_path)))
    command = said[said.index("ssh me@station") :].replace("ssh me@station", "ssh -- me@station")
    assert not all_gone_now(tmp_path / "pids")
    station()
    subprocess.run(["sh", "-c", command], check=True)
    assert all_gone(tmp_path / "pids") and there(home) == ["gatewright", "gatewright/bitstream"]


def all_gone_now(pids: Path) -> bool:
    return not any(psutil.pid_exists(int(line)) for line in pids.read_text().split())


@pytest.mark.parametrize("word", ["tar xzf", "nohup setsid"])
def test_the_connection_ends_before_the_run(
    build: Path, station: Callable[..., Path], tmp_path: Path, word: str
) -> None:
    home = station(drop=word)
    result = run(build, *HOST, *setup(tmp_path))
    assert result.exit_code == 1 and "Connection refused" in text(result)
    assert not (tmp_path / "pids").exists()
    station()
    assert run(build, *HOST, *setup(tmp_path)).exit_code == 0 and there(home) == []


def test_the_connection_ends_while_results_come_back(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    """A cut archive: nothing of it is used, and the next run fetches it."""
    home = station(drop="tar czf after 3")
    result = run(build, *HOST, *setup(tmp_path))
    assert result.exit_code == 1 and "what it made is still there, in gatewright/bitstream/net_" in text(result)
    assert {p.name for p in (build / "bitstream").iterdir()} == {"README.txt", "build.tcl", "log", "project.json"}
    station()
    runs = (tmp_path / "pids").read_text()
    assert run(build, *HOST, *setup(tmp_path)).exit_code == 0
    assert (tmp_path / "pids").read_text() == runs and there(home) == []


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ('/usr/bin/tar "$@" | head -c 5000', "results did not come back whole; what it made is still there"),
        ("echo 'tar: out: Input/output error' >&2; exit 2", "results cannot be read there (tar: out: Input/output"),
    ],
)
def test_results_that_are_not_whole_are_not_taken(build: Path, station: Callable[..., Path], tmp_path: Path, does: str,
                                                  says: str) -> None:  # fmt: skip
    """A tar on the other machine that goes wrong when it packs."""
    home = station()
    tar = tmp_path / "tools" / "tar"
    tar.write_text(f'#!/bin/sh\n[ "$1" = czf ] || exec /usr/bin/tar "$@"\n{does}\n')
    tar.chmod(0o755)
    result = run(build, *HOST, *setup(tmp_path))
    assert result.exit_code == 1 and says in text(result), text(result)
    assert {p.name for p in (build / "bitstream").iterdir()} == {"README.txt", "build.tcl", "log", "project.json"}
    tar.unlink()
    assert run(build, *HOST, *setup(tmp_path)).exit_code == 0 and there(home) == []


def test_a_machine_that_was_started_again(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    """The run is gone with all its processes, and nothing says how it ended."""
    home = station("hang", drop="tail -n +1 after 9")
    run(build, *HOST, *setup(tmp_path))
    os.killpg(int(next(home.glob("gatewright/bitstream/*/pid")).read_text()), signal.SIGKILL)
    assert all_gone(tmp_path / "pids")
    station()
    assert run(build, *HOST, *setup(tmp_path)).exit_code == 0 and there(home) == []


def test_a_run_that_is_killed_there_with_all_it_has(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    home = station("hang")
    with started(build, tmp_path) as process:
        wait_for_placement(process)
        os.killpg(int(next(home.glob("gatewright/bitstream/*/pid")).read_text()), signal.SIGKILL)
        assert "me@station: the run was killed there, or the machine was started again" in process.communicate()[1]
    assert process.returncode == 1 and all_gone(tmp_path / "pids")


def test_a_time_limit_there(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    home = station("hang")
    result = run(build, *HOST, *setup(tmp_path), "--time-limit", "4")
    assert result.exit_code == 1 and "Vivado takes more than 4 s" in text(result)
    assert there(home) == [] and all_gone(tmp_path / "pids")


def started(build: Path, tmp_path: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a terminal's foreground."""
    words = [sys.executable, "-m", "gatewright", "bitstream", str(build), *HOST, *setup(tmp_path)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_placement(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if "placement" in line:
            return
    raise AssertionError("it ended before")


def test_ctrl_c_ends_the_run_there(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    """A terminal's Ctrl-C goes to all of the foreground."""
    home = station("hang")
    with started(build, tmp_path) as process:
        wait_for_placement(process)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
    assert process.returncode != 0 and all_gone(tmp_path / "pids")
    assert there(home) == []


def test_killed_here_it_goes_on_there(build: Path, station: Callable[..., Path], tmp_path: Path) -> None:
    home = station("hang")
    with started(build, tmp_path) as process:
        wait_for_placement(process)
        process.kill()
    pid = int(next(home.glob("gatewright/bitstream/*/pid")).read_text())
    time.sleep(0.3)
    assert psutil.pid_exists(pid)
    os.killpg(pid, signal.SIGKILL)
    assert all_gone(tmp_path / "pids")


# --- a real sshd ------------------------------------------------------------------------------------------------------


def test_over_a_real_connection(server: Server, build: Path, tmp_path: Path) -> None:
    """The variables of the stand-in come with the file that puts it on PATH."""
    folder, remote = tmp_path / "Xilinx" / "Vivado" / stand_in.VERSION, server.remote
    stand_in.install(folder / "bin", "vivado")
    path = os.pathsep.join(p for p in (str(Path(__file__).parents[2] / "src"), os.environ.get("PYTHONPATH", "")) if p)
    (folder / "settings64.sh").write_text(f"export PATH={folder}/bin:$PATH PYTHONPATH={path} STAND_IN=ok\n"
                                          f"export STAND_IN_PIDS={tmp_path}/pids\n")  # fmt: skip
    ssh = ["--port", str(remote.port), "--identity", str(remote.identity), "--ssh-config", str(remote.config)]
    result = run(build, "--host", remote.host, *ssh, *setup(tmp_path))
    assert result.exit_code == 0, result.stderr
    assert Bundle(build / "bundle").record["bitstream"]["kind"] == "bit" and all_gone(tmp_path / "pids")
    place = f"gatewright/bitstream/net_{Build.open(build).kernel.hash[:8]}_"
    assert not list(Path.home().glob(f"{place}*"))
    assert shutil.which("vivado") is None
