# SPDX-License-Identifier: Apache-2.0
"""One run of a tool on a project: its log kept and watched, and whatever ends it told in one sentence."""

from __future__ import annotations

import re
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TextIO

from gatewright.errors import ConfigError, ToolError
from gatewright.process import Running
from gatewright.progress import Progress
from gatewright.sim.tools import Tool, find_tool
from gatewright.synth.bitstream.planning import LOG, Plan
from gatewright.synth.flow import SHORTAGES, Flow, meaning

_LAST = 5
"""Lines of the log in the error of a run that did not say why it failed."""
_AGAIN = "run it again; if it crashes at the same place, another release of the tool may not"
_CRASHED = f"it crashed (segmentation fault): {_AGAIN}"
_KILLED = "something killed it, most often the system for want of memory: use a machine with more"
_GENERAL: Mapping[str, str] = {**SHORTAGES, r"Segmentation fault": _CRASHED, r"^Killed$": _KILLED}
"""What any program may print when it fails, and what to do."""
_SIGNALS = {
    signal.SIGSEGV: _CRASHED,
    signal.SIGABRT: "it broke off (aborted): run it again; if it does so at the same place, another release may not",
    signal.SIGKILL: _KILLED,
    signal.SIGTERM: "something ended it (SIGTERM): run it again",
    signal.SIGXFSZ: "a file grew beyond what this user may write: raise the limit (ulimit -f)",
}


@dataclass(frozen=True)
class Ended:
    """A run that has ended on some machine.

    Attributes:
        status: with which the tool ended.
        heard: whether its lines came as it printed them, from the first on, so that they tell its times.
    """

    status: int
    heard: bool = True


class Where(Protocol):
    """A machine on which a tool runs."""

    def find(self, flow: Flow) -> Tool:
        """The tool there.

        Raises:
            MissingToolError: it is not there.
        """

    def run(self, plan: Plan, tool: Tool, line: Callable[[str], None], seconds: float | None) -> Ended:
        """Run a project that is written. Afterwards reports and results lie in the plan's folder.

        Raises:
            TimeoutError: it takes longer than `seconds`; it is ended then.
            ToolError: the machine failed.
        """


class Here:
    """This machine."""

    def find(self, flow: Flow) -> Tool:
        """See `Where`."""
        return find_tool(flow.tool)

    def run(self, plan: Plan, tool: Tool, line: Callable[[str], None], seconds: float | None) -> Ended:
        """See `Where`."""
        command = plan.flow.command(plan.project, tool)
        with Running(command, plan.folder, tool.environment()) as running:
            for text in running.lines(seconds):
                line(text)
            return Ended(running.wait())


class Watch:
    """Reads a log as it comes.

    Args:
        flow: whose log it is.
        log: where it goes.
        progress: told of every part of the run.

    Attributes:
        seconds: by part of the run.
        reasons: why it failed, as its lines say.
        phase: the part that it is in; "" before the first.
        tail: its last lines.
    """

    def __init__(self, flow: Flow, log: TextIO, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self.reasons: list[str] = []
        self.phase = ""
        self.tail: deque[str] = deque(maxlen=_LAST)
        self._flow, self._log, self._progress = flow, log, progress
        self._since = time.monotonic()

    def line(self, text: str) -> None:
        """Take a line.

        Raises:
            ConfigError: it cannot be kept.
        """
        try:
            self._log.write(text + "\n")
            self._log.flush()
        except OSError as error:
            raise ConfigError(f"{self._log.name} cannot be written ({error}): make room and run it again") from error
        if text.strip():
            self.tail.append(text)
        reason = self._flow.failure(text)
        if reason and reason not in self.reasons:
            self.reasons.append(reason)
        phase = self._flow.phase(text)
        if phase is not None:
            self.close()
            self.phase = phase.name
            self._progress(f"{self._flow.title}: {phase.name}", phase.number, phase.count)

    def close(self) -> None:
        """The part that was going on has ended."""
        now = time.monotonic()
        if self.phase:
            self.seconds[self.phase] = round(self.seconds.get(self.phase, 0.0) + now - self._since, 1)
        self._since = now

    def why(self, status: int) -> str:
        """Why a run ended with an exit status other than 0."""
        if self.reasons:
            return "; ".join(self.reasons)
        for line in reversed(self.tail):
            if told := meaning(_GENERAL, line):
                return told
        if status > 128 and status - 128 in _SIGNALS:
            return _SIGNALS[signal.Signals(status - 128)]
        errors = [line for line in self.tail if re.match(r"\s*ERROR\b", line)] or list(self.tail)
        return "it says\n  " + "\n  ".join(errors) if errors else "it says nothing"


def check_release(flow: Flow, tool: Tool) -> None:
    """Refuse a release that the scripts are not written for.

    Raises:
        ToolError: says which is needed.
    """
    release = tuple(int(n) for n in re.findall(r"\d+", tool.version))
    if flow.oldest is not None and release and release < flow.oldest:
        raise ToolError(
            f"{tool.path} is {flow.title} {tool.version}: the scripts need {'.'.join(map(str, flow.oldest))} or newer"
        )


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        seconds: by part of it.
        failure: why the tool failed; "" where it ended with 0.
    """

    seconds: Mapping[str, float]
    failure: str


def run_once(plan: Plan, where: Where, tool: Tool, seconds: float | None, progress: Progress) -> Run:
    """Write a project, run its tool, and keep the log.

    Raises:
        ConfigError: the folder or the log cannot be written.
        ToolError: the machine failed, or it took too long.
    """
    plan.write(afresh=True)  # so that nothing of an earlier run can be read as of this one
    title, log = plan.flow.title, plan.folder / LOG
    progress(f"{title} {tool.version}")
    with log.open("w", encoding="utf-8", errors="replace") as file:
        watch = Watch(plan.flow, file, progress)
        try:
            ended = where.run(plan, tool, watch.line, seconds)
        except TimeoutError:
            during = f" (during {watch.phase})" if watch.phase else ""
            raise ToolError(
                f"{title} takes more than {seconds:g} s{during}: raise --time-limit; its log is {log}"
            ) from None
        watch.close()
    spent, status = watch.seconds if ended.heard else {}, ended.status
    if not status:
        return Run(spent, "")
    during = f" during {watch.phase}" if watch.phase else ""
    return Run(spent, f"{title} fails{during} (exit status {status}): {watch.why(status)}\nits log is {log}")
