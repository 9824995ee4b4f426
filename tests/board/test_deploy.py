# SPDX-License-Identifier: Apache-2.0
"""`gatewright deploy` to a real sshd on this machine: what lands where, and what each failure says."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.board.small import small_bundle
from tests.models import two_layers

from gatewright.board.archive import write_folder
from gatewright.board.bundle import bundle as make_bundle
from gatewright.board.deploy import Place, check_root, copy, free_bytes, install, probe, run_verify, verify_command
from gatewright.board.server import VirtualBoard
from gatewright.build import compile_model
from gatewright.emit.files import packed
from gatewright.errors import BundleError, ConfigError, GatewrightError, ToolError
from gatewright.ssh import Remote

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Server:
    """An sshd of this user on the loopback.

    Attributes:
        remote: how to reach it.
        folder: its keys, and room for tests.
    """

    remote: Remote
    folder: Path


def key(path: Path) -> Path:
    """A new pair of keys."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("sshd or ssh is missing: on Debian, apt install openssh-server openssh-client")
    folder = tmp_path_factory.mktemp("sshd")
    host, own = key(folder / "host"), key(folder / "own")
    (folder / "authorized").write_text(own.with_suffix(".pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {folder / 'authorized'}\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nSetEnv PATH={folder / 'bin'}:/usr/bin:/bin\n"
    )
    (folder / "bin").mkdir()
    (folder / "bin" / "sudo").write_text('#!/bin/sh\necho "as root, $1"\nshift\nexec "$@"\n')
    (folder / "bin" / "sudo").chmod(0o755)
    kind, public = host.with_suffix(".pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {kind} {public}\n")
    (folder / "ssh.conf").write_text(f"UserKnownHostsFile {folder / 'known'}\nIdentityAgent none\n")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd of root shuts itself in
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(folder / "sshd.conf")], stderr=log)
    try:
        wait_for(process, folder / "log")
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        yield Server(Remote(f"{user}@127.0.0.1", port, own, folder / "ssh.conf"), folder)
    finally:
        process.terminate()
        process.wait()


def wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    """Until sshd says that it listens."""
    while "Server listening" not in log.read_text():
        assert process.poll() is None, log.read_text()


RUN = """\
import os, sys
print("arguments", sys.argv[1:], "in", os.path.basename(os.getcwd()))
sys.exit(int(os.path.exists("fail")))
"""


def bundle(folder: Path, *, kind: str | None = "bit", run: str = RUN, **contents: bytes) -> Path:
    """A folder with a bundle's manifest, whose run.py says how it was called."""
    files = {"run.py": run.encode(), "golden/inputs.npz": os.urandom(600_000), **contents}
    write_folder(small_bundle(files, bitstream=kind and {"file": "net.bit", "kind": kind}), folder)
    return folder


def deploy(source: Path, remote: Remote, *, verify: bool = True, **options: Any) -> bool:
    """As the command does it."""
    place = install(source, remote, verify=verify, **options)
    return not verify or run_verify(remote, place)


def read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def home(tmp_path: Path) -> str:
    """A path on the board, with what shells would take for their own."""
    return str(tmp_path / "on the 'board' $HOME" / "net")


def test_a_bundle_arrives_as_it_is_and_is_run(
    server: Server, tmp_path: Path, home: str, capfd: pytest.CaptureFixture[str]
) -> None:
    steps: list[tuple[str, int, int]] = []
    source = bundle(tmp_path / "bundle")
    done = deploy(
        source, server.remote, path=home, python=sys.executable, device="127.0.0.1:7000",
        progress=lambda step, done=0, total=0: steps.append((step, done, total)),
    )  # fmt: skip
    assert done
    assert read(Path(home)) == read(source)
    assert (Path(home) / "run.py").stat().st_mode & 0o777 == 0o755
    assert capfd.readouterr().out == "arguments ['verify', '--device', '127.0.0.1:7000'] in net\n"
    copied = [s for s in steps if s[0].startswith("copying to") and s[2]]
    assert len(copied) > 2 and copied[-1][1] == copied[-1][2] > 600_000


def test_sudo_runs_it_in_a_login_shell_of_root(
    server: Server, tmp_path: Path, home: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for sudo, which has nothing to ask a user who is root already."""
    source = bundle(tmp_path / "bundle", run="import os; print('login shell', 'HOME' in os.environ)\n")
    assert deploy(source, server.remote, path=home, python=sys.executable, sudo=True, device="x:1")
    assert capfd.readouterr().out == "as root, -n\nlogin shell True\n"


def test_an_archive_is_as_good_and_takes_the_place_of_an_earlier_bundle(
    server: Server, tmp_path: Path, home: str
) -> None:
    deploy(bundle(tmp_path / "old", old=b"1"), server.remote, path=home, verify=False)
    (Path(home) / "__pycache__").mkdir()
    (Path(home) / "__pycache__" / "x.pyc").write_bytes(b"")
    source = bundle(tmp_path / "new")
    (tmp_path / "new.tar.gz").write_bytes(packed(read(source), "net"))
    deploy(tmp_path / "new.tar.gz", server.remote, path=home, verify=False)
    assert read(Path(home)) == read(source)
    assert [p.name for p in Path(home).parent.iterdir()] == ["net"]


def test_what_the_board_found_wrong_is_no_success(server: Server, tmp_path: Path, home: str) -> None:
    assert not deploy(bundle(tmp_path / "b", fail=b""), server.remote, path=home, python=sys.executable, device="x:1")


def test_a_file_of_the_user_on_the_board_stops_it(server: Server, tmp_path: Path, home: str) -> None:
    source = bundle(tmp_path / "b")
    deploy(source, server.remote, path=home, verify=False)
    (Path(home) / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"net holds notes\.txt, which is of no earlier bundle"):
        deploy(source, server.remote, path=home, verify=False)
    assert (Path(home) / "notes.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file is a file there: move it away"):
        deploy(source, server.remote, path=str(tmp_path / "file"), verify=False)


@pytest.mark.parametrize("path", ["/", "~", "~/", ".", "..", "../x", "a/../..", "x\ny"])
def test_a_folder_that_is_none_of_its_own_is_refused(server: Server, tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="name a folder of its own on the board"):
        deploy(bundle(tmp_path / "b"), server.remote, path=path, verify=False)


def test_a_virtual_bitstream_or_none_is_not_run_on_a_real_board(server: Server, tmp_path: Path, home: str) -> None:
    with pytest.raises(ConfigError, match=r"virtual bitstream, which no FPGA takes.*--device HOST:PORT"):
        deploy(bundle(tmp_path / "a", kind="virtual"), server.remote, path=home)
    with pytest.raises(ConfigError, match="no bitstream for TUL PYNQ-Z2: --no-verify copies it"):
        deploy(bundle(tmp_path / "b", kind=None), server.remote, path=home)
    assert not Path(home).exists()


def test_a_damaged_bundle_is_not_copied(server: Server, tmp_path: Path, home: str) -> None:
    source = bundle(tmp_path / "b")
    (source / "golden" / "inputs.npz").write_bytes(b"")
    with pytest.raises(BundleError, match=r"golden/inputs\.npz is damaged: .*; copy the bundle again, or make it anew"):
        deploy(source, server.remote, path=home, verify=False)
    (source / "golden" / "inputs.npz").unlink()
    with pytest.raises(BundleError, match=r"golden/inputs\.npz is missing; copy the bundle again, or make it anew"):
        deploy(source, server.remote, path=home, verify=False)
    with pytest.raises(BundleError, match=r"no bundle\.json here: give the folder or \.tar\.gz"):
        deploy(tmp_path, server.remote, path=home, verify=False)
    assert not Path(home).exists()


def test_a_board_without_room_is_told_before_anything_is_written(
    server: Server, tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.board.deploy._SLACK", 1 << 60)
    with pytest.raises(ToolError, match=r"MiB are free at .*make room, name another place with --path"):
        deploy(bundle(tmp_path / "b"), server.remote, path=home, verify=False)
    assert not Path(home).exists()


@pytest.mark.parametrize(
    ("line", "kilobytes"),
    [
        ("/dev/mmcblk0p2 14835912 7023404 7033096 50% /", 7033096),
        ("//nas/My share 100 20 80 20% /home/my user", 80),
        ("tmpfs 0 0 0 - /run/user/0", 0),
        ("overlay 61255492 61255492 -12 100% /mnt 1 2 3 4% x", -12),
    ],
)
def test_free_room_is_read_whatever_folders_are_called(line: str, kilobytes: int) -> None:
    assert free_bytes(line) == kilobytes * 1024


def test_a_full_file_system_is_told_and_leaves_the_old_bundle(server: Server, tmp_path: Path, home: str) -> None:
    """The shell there may write files of so many blocks, as a quota would have it."""
    source = bundle(tmp_path / "old", old=b"1")
    deploy(source, server.remote, path=home, verify=False)
    own = Limited(**vars(server.remote))
    with pytest.raises(ToolError, match=r"cannot be written \(.*\): make room there"):
        copy(own, Place(home), read(bundle(tmp_path / "new")))
    assert read(Path(home)) == read(source)
    assert [p.name for p in Path(home).parent.iterdir()] == ["net"]


class Limited(Remote):
    """The same machine, which lets no file grow beyond 100 KiB."""

    def command(self, script: str, *, terminal: bool = False) -> list[str]:
        return super().command(f"trap '' XFSZ; ulimit -f 100; {script}", terminal=terminal)


# --- the whole way ----------------------------------------------------------------------------------------------------


def test_a_real_bundle_is_verified_on_the_board(server: Server, tmp_path: Path) -> None:
    """By the command, as a user types it; the FPGA of this "board" is a virtual one."""
    b, y = two_layers()
    build = compile_model(b.save(tmp_path / "net.onnx", y), "pynq-z2", fps=1e6, targets=["rtl", "kernel"],
                          output=tmp_path / "build")  # fmt: skip
    make_bundle(build.directory).archive(tmp_path / "net.tar.gz")
    with VirtualBoard([tmp_path / "net.tar.gz"], port=0) as board:
        done = command(server, tmp_path / "net.tar.gz", str(tmp_path / "there"), board.address)
        assert done.returncode == 0, done.stderr
        assert f"copied to {server.remote.host}:{tmp_path / 'there'}" in done.stdout
        assert "net: ok" in done.stdout and "8 of 8 frames exact" in done.stdout
        assert f"verifying on {server.remote.host}" not in done.stdout  # progress goes to stderr
    done = command(server, tmp_path / "net.tar.gz", str(tmp_path / "there"), board.address)
    assert done.returncode == 1 and "no PYNQ.remote server answers" in done.stderr


def command(server: Server, source: Path, path: str, device: str) -> subprocess.CompletedProcess[str]:
    """`gatewright deploy`, in a process of its own."""
    remote = server.remote
    ssh = ["--port", str(remote.port), "--identity", str(remote.identity), "--ssh-config", str(remote.config)]
    place = ["--path", path, "--python", sys.executable, "--device", device]
    words = [sys.executable, "-m", "gatewright", "deploy", str(source), remote.host, *ssh, *place]
    return subprocess.run(words, capture_output=True, text=True, check=False)


# --- the connection ---------------------------------------------------------------------------------------------------


def refused(server: Server, tmp_path: Path, remote: Remote) -> str:
    """What deploying to a machine that cannot be reached says."""
    with pytest.raises(ToolError) as error:
        deploy(bundle(tmp_path / "b"), remote, path=str(tmp_path / "there"), verify=False)
    return str(error.value)


def test_nothing_listens(server: Server, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        said = refused(server, tmp_path, replace(server.remote, port=port))
    assert "Connection refused" in said
    assert f"nothing answers ssh there: is the board up? --port names another port than {port}" in said


def test_no_key_fits(server: Server, tmp_path: Path) -> None:
    said = refused(server, tmp_path, replace(server.remote, identity=key(tmp_path / "other")))
    assert f"ssh-copy-id {server.remote.host} installs one, --identity names another" in said


def test_another_machine_answers(server: Server, tmp_path: Path) -> None:
    kind, public = key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.remote.port} {kind} {public}\n")
    (tmp_path / "ssh.conf").write_text(f"UserKnownHostsFile {tmp_path / 'known'}\nIdentityAgent none\n")
    said = refused(server, tmp_path, replace(server.remote, config=tmp_path / "ssh.conf"))
    assert f"its key is not known, or another than it was: connect once with ssh {server.remote.host}" in said


def test_no_such_host(server: Server, tmp_path: Path) -> None:
    said = refused(server, tmp_path, replace(server.remote, host="root@no-such-board.invalid"))
    assert "no-such-board.invalid" in said and "no such host: check the name, or give an address" in said


def test_the_connection_breaks_while_it_copies(server: Server, tmp_path: Path, home: str) -> None:
    """The shell there takes its own sshd down, after which ssh has no more to say than that."""

    class Broken(Remote):
        def command(self, script: str, *, terminal: bool = False) -> list[str]:
            return super().command("head -c 1000 >/dev/null; kill $PPID; sleep 60", terminal=terminal)

    with pytest.raises(ToolError, match=r"127\.0\.0\.1: .*: try ssh .* by hand"):
        copy(Broken(**vars(server.remote)), Place(home), read(bundle(tmp_path / "b")))


class Elsewhere(Remote):
    """Where another program answers in place of ssh."""

    answer = ""

    def command(self, script: str, *, terminal: bool = False) -> list[str]:
        return ["sh", "-c", self.answer]


def test_the_connection_breaks_while_it_verifies() -> None:
    class Gone(Elsewhere):
        answer = "exit 255"

    with pytest.raises(ToolError, match="pynq: the connection ended while it verified: see above, and run it again"):
        run_verify(Gone("pynq"), Place("./net"))


def test_what_answers_is_no_posix_shell() -> None:
    class Router(Elsewhere):
        answer = "cat >/dev/null; echo '% Unknown command'; exit 1"

    said = r"pynq: no POSIX shell with id, df, dirname and find there \('% Unknown command'\)"
    with pytest.raises(ToolError, match=said):
        probe(Router("pynq"), Place("./net"))


@pytest.mark.parametrize("host", ["", "-oProxyCommand=touch x", "root@-x", "a b", "root@", "x@y@z"])
def test_what_is_no_host_never_reaches_ssh(host: str) -> None:
    with pytest.raises(ConfigError, match="is none: give user@board, as ssh takes it"):
        Remote(host)


@pytest.mark.parametrize("host", ["pynq", "xilinx@192.168.2.99", "root@[fe80::1]", "a.b-c@board.local", "u@::1"])
def test_hosts_as_ssh_takes_them(host: str) -> None:
    assert Remote(host).host == host


def test_ports_and_files_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="port=70000: use 1 to 65535"):
        Remote("pynq", 70_000)
    with pytest.raises(ConfigError, match="identity=.*is no file"):
        Remote("pynq", identity=tmp_path / "key")


# --- the board's Python -----------------------------------------------------------------------------------------------


def asked(server: Server, tmp_path: Path, python: str) -> str:
    """What deploying to a board whose Python is this one says."""
    with pytest.raises(GatewrightError) as error:
        deploy(bundle(tmp_path / "b"), server.remote, path=str(tmp_path / "there"), python=python)
    assert not (tmp_path / "there").exists()
    return str(error.value)


def test_no_python(server: Server, tmp_path: Path) -> None:
    said = asked(server, tmp_path, "/no/such/python3")
    assert "'/no/such/python3' does not run there" in said and "No such file" in said
    assert "name the Python of the board with --python" in said


def test_a_python_without_pynq(server: Server, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    said = asked(server, tmp_path, str(tmp_path / "bare" / "bin" / "python3"))
    assert "has no numpy and no pynq" in said and "/usr/local/share/pynq-venv/bin/python3" in said


def test_an_old_python(server: Server, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho gatewright-probe 3 6\n")
    old.chmod(0o755)
    assert "is Python 3.6, and the driver needs 3.8" in asked(server, tmp_path, str(old))


def test_a_user_who_is_not_root_is_told(server: Server, tmp_path: Path) -> None:
    found = probe(server.remote, Place(str(tmp_path)))
    assert found.root == (os.getuid() == 0)
    with pytest.raises(ConfigError, match="is not root, whom alone PYNQ lets at the FPGA: add --sudo"):
        check_root(server.remote, Place("x"), replace(found, root=False))
    check_root(server.remote, Place("x", sudo=True), replace(found, root=False))
    check_root(server.remote, Place("x", device="127.0.0.1"), replace(found, root=False))


def test_sudo_runs_a_login_shell_as_root() -> None:
    place = Place("./net", "python3", sudo=True)
    assert verify_command(place, asks=False) == "sudo -n bash -lc 'cd ./net && exec python3 run.py verify'"
    assert verify_command(place, asks=True) == "sudo bash -lc 'cd ./net && exec python3 run.py verify'"
