# SPDX-License-Identifier: Apache-2.0
"""`gatewright board serve`: what it says, whom it serves, how it stops, and what it refuses."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gatewright.cli import app
from gatewright.cli.board import parse_fault
from gatewright.errors import ConfigError
from gatewright.sim.kernel import Fault

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A running server, its port and what it said."""
    command = [sys.executable, "-m", "gatewright", "board", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(3))
        found = re.search(r":(\d+): ", said)
        if found is None:
            process.kill()
            raise AssertionError(said, process.communicate())
        try:
            yield process, int(found[1]), said
        finally:
            process.kill()


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["board", "serve", *map(str, arguments)])


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_the_real_library_and_stops_when_told(bundles: dict[str, Path], kind: int) -> None:
    with serving(bundles["pynq-z2"], "--verbose") as (process, port, said):
        assert re.match(r"TUL PYNQ-Z2 on 127\.0\.0\.1:\d+: net_[0-9a-f]{8}\.bin\n", said)
        assert "no authentication" in said
        user = [sys.executable, "-m", "tests.board.pynq_client", str(bundles["pynq-z2"]), str(port), "inspect"]
        done = subprocess.run(user, cwd=ROOT, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["inspect"]["exact"] == 8
        process.send_signal(kind)
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert "simulation of net" in err  # what it builds, before it takes long
    assert "net: 8 frames in" in err
    assert re.search(r"DeviceService.existsfile\(file_path=\'/proc/version\'\)", err)
    assert err.endswith("stopped\n")


def test_an_address_that_others_reach_is_warned_of(bundles: dict[str, Path]) -> None:
    with serving(bundles["pynq-z2"], "--host", "0.0.0.0") as (process, _, said):
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert "TUL PYNQ-Z2 on 0.0.0.0:" in said
    assert "warning: whoever reaches this address has the board: the protocol has no authentication" in said


def test_a_port_that_is_taken(bundles: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(bundles["pynq-z2"], "--port", port)
    assert result.exit_code == 1
    assert f"port {port} of 127.0.0.1 cannot be listened on; most likely it is taken" in result.output


def test_options_reach_the_board(bundles: dict[str, Path]) -> None:
    for option, value in (("--poll-ms", "0"), ("--gbytes-per-s", "-1"), ("--latency-ns", "-1")):
        result = run(bundles["pynq-z2"], option, value)
        assert result.exit_code == 1
        assert f"{option.strip('-').replace('-', '_')}=" in result.output


def test_no_bundle(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "no bundle.json here" in result.output


def test_faults_of_the_command_line() -> None:
    assert parse_fault("slverr") == Fault("slverr")
    assert parse_fault("decerr,first=0x1000,bytes=64,writes=0,count=2,skip=1,port=1") == Fault(
        "decerr", first=0x1000, bytes=64, writes=False, count=2, skip=1, port=1
    )
    for text, said in (
        ("oops", "answer='oops': use slverr, decerr, silence"),
        ("slverr,when=3", "unknown key 'when': the keys are first, bytes, reads, writes, skip, count, port"),
        ("slverr,count=x", "count='x': give a number"),
        ("slverr,reads=yes", "reads='yes': give 0 or 1"),
        ("slverr,reads=0,writes=0", "meets neither reads nor writes"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            parse_fault(text)
