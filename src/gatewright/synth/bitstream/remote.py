# SPDX-License-Identifier: Apache-2.0
"""A tool on another machine, reached with the system's ssh.

The run is one of its own there: it goes on when the connection ends, and whoever asks for the same project again
follows it. The machine needs bash, tar, ps, setsid, and a tail that knows --pid, as any Linux has.

    gatewright/bitstream/STEM_DIGEST/    in the user's home
        rtl/, kernel/, bitstream/        as in the build; bitstream/log is the tool's
        pid, status                      of the run: its process group, and its exit status once it has ended
"""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gatewright.emit.files import packed
from gatewright.emit.project import FOLDER
from gatewright.errors import ConfigError, MissingToolError, ToolError
from gatewright.process import Running
from gatewright.progress import Progress, silent
from gatewright.runtime.bundle import extract
from gatewright.runtime.errors import BundleError
from gatewright.sim.tools import Tool
from gatewright.ssh import Remote, login
from gatewright.synth.bitstream.planning import LOG, OUT, READ, REPORTS, Plan
from gatewright.synth.bitstream.running import Ended
from gatewright.synth.flow import Flow

MARK = "gatewright-bitstream"
"""What our own lines of an answer begin with; login shells print what they like."""
_NO_SETUP, _NO_TOOL = 3, 4


@dataclass(frozen=True)
class Host:
    """A machine that has the tool.

    Attributes:
        remote: how it is reached.
        setup: file on it that puts the tool on PATH, such as Vivado's settings64.sh; None where a login shell does.
        progress: told of copying.
    """

    remote: Remote
    setup: str | None = None
    progress: Progress = silent

    def find(self, flow: Flow) -> Tool:
        """See `Where`.

        Raises:
            ConfigError: the file of `setup` is not there.
            MissingToolError: the tool is not there.
            ToolError: the machine cannot be reached, or has no bash.
        """
        self.progress(f"looking at {self.remote.host}")
        looks = " || ".join(f"command -v {shlex.quote(name)}" for name in flow.programs)
        script = f'{self._ready()}p=$({looks}) || exit {_NO_TOOL}; echo "{MARK} $p"; echo "{MARK} $(readlink -f "$p")"'
        status, out, err = self.remote.run(login(script))
        if status == _NO_SETUP:
            raise ConfigError(f"{self.remote.host}: --setup {self.setup!r} is no file that can be read there")
        if status == _NO_TOOL:
            raise MissingToolError(
                f"{self.remote.host}: {flow.tool} is not on the PATH of a login shell there: name what puts it there "
                "with --setup, such as the settings64.sh of its folder"
            )
        found = [line.removeprefix(MARK).strip() for line in out.splitlines() if line.startswith(MARK)]
        if len(found) != 2:
            said = (err or out).strip().splitlines()
            raise ToolError(f"{self.remote.host}: no bash answers there ({said[-1] if said else f'status {status}'})")
        return Tool(flow.tool, Path(found[0]), self._version(found[0], found[1], flow.asks))

    def _version(self, path: str, resolved: str, option: str) -> str:
        """As the tool's folder says, which is quicker, or the tool."""
        if match := re.search(r"\d{4}\.\d", resolved):
            return match.group()
        _, out, _ = self.remote.run(login(f"{self._ready()}{shlex.quote(path)} {option} </dev/null 2>&1"))
        match = re.search(r"\d{4}\.\d|\d+\.\d+(\.\d+)*", out)
        return match.group() if match else "unknown"

    def run(self, plan: Plan, tool: Tool, line: Callable[[str], None], seconds: float | None) -> Ended:
        """See `Where`; a run of the same project that is going on there, or has ended, is taken up.

        Raises:
            TimeoutError: it takes longer than `seconds`; it is ended then.
            ConfigError: a line could not be kept here; the run goes on.
            ToolError: the machine failed: says what is left on it.
        """
        place = f"gatewright/bitstream/{plan.project.stem}_{plan.digest[:12]}"
        earlier = self._taken_up(place)
        if earlier is None:
            self._copy(plan, place)
        pid = earlier or self._start(plan, tool, place)
        status = self._follow(place, pid, line, seconds)
        self._fetch(plan, place)
        self._clean(place)
        return Ended(status, heard=earlier is None)

    def _ready(self) -> str:
        """Shell that puts the tool on PATH."""
        if self.setup is None:
            return ""
        file = shlex.quote(self.setup)
        return f"[ -r {file} ] || exit {_NO_SETUP}; . {file} >/dev/null 2>&1 </dev/null; "

    def _answer(self, script: str, what: str) -> str:
        """What our marked line of a script's answer says.

        Raises:
            ToolError: ssh failed, or there is no such line.
        """
        status, out, err = self.remote.run(login(script))
        found = [line.removeprefix(MARK).strip() for line in out.splitlines() if line.startswith(MARK)]
        if status or len(found) != 1:
            said = [text for text in (err or out).splitlines() if text.strip()]
            raise ToolError(f"{self.remote.host}: {what} fails ({said[-1].strip() if said else f'status {status}'})")
        return found[0]

    def _taken_up(self, place: str) -> int | None:
        """The process of a run of this project, going on or ended, or None; one that broke off is removed."""
        script = (
            f"cd {shlex.quote(place)} 2>/dev/null && p=$(cat pid 2>/dev/null) && "
            '{ [ -f status ] || ps -o stat= -p "$p" | grep -q "^[^Z]"; } && '
            f'echo "{MARK} $p" || {{ cd; rm -rf {shlex.quote(place)}; echo "{MARK} none"; }}'
        )
        found = self._answer(script, "looking for an earlier run")
        if found == "none":
            return None
        self.progress(f"taking up the run on {self.remote.host}")
        return int(found)

    def _copy(self, plan: Plan, place: str) -> None:
        """Copy what a run needs; it is never half there."""
        root = plan.build.directory
        paths = [p for folder in (*READ, FOLDER) for p in sorted((root / folder).rglob("*")) if p.is_file()]
        files = {p.relative_to(root).as_posix(): p.read_bytes() for p in paths if p != plan.folder / LOG}
        script = (
            f"set -e; d={shlex.quote(place)}; "
            """p=$d.part; trap 'rm -rf "$p"' EXIT; rm -rf "$p"; mkdir -p "$p"; tar xzf - -C "$p"; mv "$p" "$d"; """
            f"echo {MARK} copied"
        )
        step = f"copying to {self.remote.host}"
        status, out, err = self.remote.run(f"sh -c {shlex.quote(script)}", packed(files, "."), step, self.progress)
        if status or f"{MARK} copied" not in out:
            said = [text.strip() for text in err.splitlines() if text.strip()] or [f"exit status {status}"]
            cause = next((text for text in said if "No space left" in text or "denied" in text), said[-1])
            raise ToolError(f"{self.remote.host}: {place} cannot be written there ({cause}): make room, or use another")

    def _start(self, plan: Plan, tool: Tool, place: str) -> int:
        command = shlex.join(plan.flow.command(plan.project, tool))
        # At the end it ends its own group: whatever the tool left running.
        inner = f"{command} >{LOG} 2>&1; echo $? >../status.part; mv ../status.part ../status; kill -KILL -$$"
        script = (
            f"{self._ready()}cd {shlex.quote(f'{place}/{FOLDER}')} && : >{LOG} || exit 1; "
            f"nohup setsid sh -c {shlex.quote(inner)} </dev/null >/dev/null 2>&1 & "
            f'echo $! >../pid.part; mv ../pid.part ../pid; echo "{MARK} $(cat ../pid)"'
        )
        return int(self._answer(script, f"starting {plan.flow.title}"))

    def _follow(self, place: str, pid: int, line: Callable[[str], None], seconds: float | None) -> int:
        """Hear the log from its beginning to its end; the exit status."""
        script = (
            f"cd {shlex.quote(place)} && tail -n +1 -f --pid={pid} {FOLDER}/{LOG} 2>/dev/null; "
            f'echo; echo "{MARK} $(cat status 2>/dev/null || echo killed)"'
        )
        status, blank = "", False
        try:
            with Running(self.remote.command(login(script)), Path.cwd()) as running:
                for text in running.lines(seconds):
                    if text.startswith(MARK):
                        status = text.removeprefix(MARK).strip()
                        break
                    if blank:  # but for the one before the mark, which is ours
                        line("")
                    blank = not text
                    if text:
                        line(text)
        except ConfigError as error:
            raise ConfigError(f"{error}; {self._going_on(place, pid)}") from error
        except (TimeoutError, KeyboardInterrupt):
            self._end(place, pid)
            raise
        if not status:
            raise ToolError(f"{self.remote.host}: the connection ended; {self._going_on(place, pid)}")
        if status == "killed":
            self._clean(place)
            raise ToolError(
                f"{self.remote.host}: the run was killed there, or the machine was started again: run it again"
            )
        return int(status)

    def _going_on(self, place: str, pid: int) -> str:
        end = shlex.quote(f"kill -KILL -{pid}; rm -rf {place}")
        return (
            f"the run goes on there, in {place} (process {pid}): the same command follows it and fetches what it "
            f"makes, and this ends it: ssh {self.remote.host} {end}"
        )

    def _end(self, place: str, pid: int) -> None:
        """End a run and remove what it left.

        Raises:
            ToolError: the machine cannot be reached any more.
        """
        script = f"kill -KILL -{pid} 2>/dev/null; {_removal(place)}; echo {MARK} ended"
        try:
            self._answer(script, "ending the run")
        except ToolError as error:
            raise ToolError(f"{error}; {self._going_on(place, pid)}") from error

    def _fetch(self, plan: Plan, place: str) -> None:
        """Copy reports and results back, all of them or none."""
        self.progress(f"copying from {self.remote.host}")
        script = (
            f"cd {shlex.quote(f'{place}/{FOLDER}')} && f=$(ls -d {REPORTS} {OUT} 2>/dev/null); "
            '[ -z "$f" ] || tar czf - $f'
        )
        left = f"what it made is still there, in {place}: the same command fetches it"
        try:
            status, data, err = self.remote.fetch(f"sh -c {shlex.quote(script)}")
        except ToolError as error:
            raise ToolError(f"{error}; {left}") from error
        if status:
            said = err.strip().splitlines() or [f"exit status {status}"]
            raise ToolError(f"{self.remote.host}: results cannot be read there ({said[-1]}); {left}")
        if not data:
            return
        try:
            with tempfile.TemporaryDirectory(dir=plan.folder, prefix="fetched.") as name:
                archive, whole = Path(name) / "archive", Path(name) / "whole"
                archive.write_bytes(data)
                extract(archive, whole)
                for folder in (p for p in (whole / REPORTS, whole / OUT) if p.is_dir()):
                    shutil.move(folder, plan.folder / folder.name)
        except BundleError as error:
            raise ToolError(f"{self.remote.host}: results did not come back whole; {left}") from error
        except OSError as error:
            raise ConfigError(f"{plan.folder} cannot be written ({error}): make room; {left}") from error

    def _clean(self, place: str) -> None:
        self._answer(f"{_removal(place)}; echo {MARK} clean", "cleaning up")


def _removal(place: str) -> str:
    """Shell that removes a run's folder, and those around it where they are empty then."""
    return f"rm -rf {shlex.quote(place)}; rmdir gatewright/bitstream gatewright 2>/dev/null"
