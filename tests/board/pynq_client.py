# SPDX-License-Identifier: Apache-2.0
"""What users do with the real pynq library. A program of its own: pynq keeps clocks and state once a process.

python -m tests.board.pynq_client BUNDLE PORT ACTION...   prints what each action found, as JSON
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("error")
for quiet in (ResourceWarning, DeprecationWarning, UserWarning):  # of pynq and of what it imports
    warnings.simplefilter("ignore", quiet)

import pynq  # noqa: E402
from pynq.pl_server import Device, embedded_device, global_state, remote_device  # noqa: E402
from pynq.ps import Clocks  # noqa: E402
from pynq.remote.selftest import runner  # noqa: E402
from tests.board.pack import packed as frames_packed  # noqa: E402


def keep_state_apart(folder: str) -> None:
    """Keep pynq's files of state, which all processes share, in a folder of this one."""
    global_state.STATE_DIR = folder
    for module in (embedded_device, remote_device):
        module.__file__ = str(Path(folder) / "module.py")


class Session:
    """A device with a bundle's bitstream on it."""

    def __init__(self, bundle: Path, port: int, device: Any = None) -> None:
        self.bundle, self.port = bundle, port
        self.record = json.loads((bundle / "bundle.json").read_text())
        self.kernel = self.record["kernel"]
        self.device = device or remote_device.RemoteDevice(0, "127.0.0.1", port)
        self.file = str(bundle / self.record["bitstream"]["file"])
        self.download()
        with np.load(bundle / "golden/integers_in.npz") as x, np.load(bundle / "golden/integers_out.npz") as y:
            (self.x,) = x.values()
            (self.y,) = y.values()
        self.input, self.output = self.kernel["inputs"][0], self.kernel["outputs"][0]
        self.frames = len(self.x)
        self.sent = self.buffer(self.input, self.frames)
        self.got = self.buffer(self.output, self.frames)

    def download(self) -> None:
        self.overlay = pynq.Overlay(self.file, device=self.device)
        base, size = self.record["base_address"], self.kernel["control_bytes"]
        self.mmio = pynq.MMIO(base, size, device=self.device)

    def buffer(self, port: dict[str, Any], frames: int) -> Any:
        return pynq.allocate((frames, port["frame_bytes"]), "u1", target=self.device)

    def start(self, sent: Any, got: Any, frames: int) -> None:
        self.mmio.write(self.input["register"], int(sent.device_address))
        self.mmio.write(self.output["register"], int(got.device_address))
        self.mmio.write(self.kernel["frames_register"], frames)
        self.mmio.write(0, 1)

    def run(self) -> int:
        """Run all frames on what is in device memory; frames that equal golden's."""
        self.start(self.sent, self.got, self.frames)
        while not self.mmio.read(0) & 2:
            pass
        self.got.invalidate()
        return int((np.array(self.got) == packed(self.y, self.output)).all(axis=1).sum())

    def fill(self) -> None:
        self.sent[:] = packed(self.x, self.input)
        self.sent.flush()


def packed(values: np.ndarray, port: dict[str, Any]) -> np.ndarray:
    return frames_packed(values, port["bits"], port["frame_bytes"])


def inspect(s: Session) -> Any:
    ip = getattr(s.overlay, f"{s.kernel['kernel']}_1")
    said = s.overlay.ip_dict[f"{s.kernel['kernel']}_1"]
    s.fill()
    return {
        "name": s.device.name, "arch": s.device.arch, "ips": sorted(s.overlay.ip_dict), "address": said["phys_addr"],
        "loaded": s.overlay.is_loaded(), "mhz": Clocks.fclk0_mhz, "others": [Clocks.fclk1_mhz, Clocks.fclk3_mhz],
        "cpu_mhz": Clocks.cpu_mhz, "registers": list(ip.register_map._register_classes),
        "idle": ip.register_map.CTRL.AP_IDLE, "exact": s.run(), "frames": s.frames,
    }  # fmt: skip


def register_map(s: Session) -> Any:
    s.fill()
    registers = getattr(s.overlay, f"{s.kernel['kernel']}_1").register_map
    setattr(registers, f"{s.input['name']}_1", s.sent.device_address)
    setattr(registers, f"{s.output['name']}_1", s.got.device_address)
    registers.frames = s.frames
    registers.CTRL.AP_START = 1
    done = int(registers.CTRL.AP_DONE)
    s.got.invalidate()
    exact = (np.array(s.got) == packed(s.y, s.output)).all(axis=1).sum()
    return {"done": done, "exact": int(exact), "address": int(getattr(registers, f"{s.input['name']}_1"))}


def flushes(s: Session) -> Any:
    s.sent[:] = 0
    s.sent.flush()
    zeros = s.run()
    s.sent[:] = packed(s.x, s.input)
    forgotten = s.run()
    s.sent.flush()
    return {"zeros": zeros, "forgotten": forgotten, "flushed": s.run()}


def clocks(s: Session) -> Any:
    before = Clocks.fclk0_mhz
    Clocks.fclk0_mhz = 50
    Clocks.fclk2_mhz = 25
    said = [Clocks.fclk0_mhz, Clocks.fclk2_mhz]
    s.download()
    return {"before": before, "set": said, "after": Clocks.fclk0_mhz}


def again(s: Session) -> Any:
    """Buffers outlive programming, as they do on a board."""
    s.fill()
    s.download()
    return {"exact": s.run()}


def exhaust(s: Session) -> Any:
    size = s.record["memory"]["bytes"]
    try:
        pynq.allocate((size,), "u1", target=s.device)
    except Exception as error:
        code, text = error.code().name, error.details()  # type: ignore[attr-defined]
    s.fill()
    return {"code": code, "text": text, "exact": s.run()}


def truncated(s: Session) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "cut.bin"
        copy.write_bytes(Path(s.file).read_bytes()[:-100])
        copy.with_suffix(".hwh").write_text(Path(s.file).with_suffix(".hwh").read_text())
        try:
            pynq.Overlay(str(copy), device=s.device)
        except Exception as error:
            code, text = error.code().name, error.details()  # type: ignore[attr-defined]
    state = s.device.read_file("/sys/class/fpga_manager/fpga0/state").decode().strip()
    s.download()
    s.fill()
    return {"code": code, "text": text, "state": state, "exact": s.run()}


def widths(s: Session) -> Any:
    """Ports whose widths a handoff names, as Vivado's do; pynq sets them on its active device."""
    Device.active_device = s.device
    global_state.clear_global_state()  # it holds what was parsed for the same bitstream
    with tempfile.TemporaryDirectory() as folder:
        handoff = Path(s.file).with_suffix(".hwh").read_text()
        new = (
            '<PARAMETER NAME="C_SAXIGP2_DATA_WIDTH" VALUE="64" /><PARAMETER NAME="C_MAXIGP0_DATA_WIDTH" VALUE="128" />'
        )
        old = '<PARAMETER NAME="PSU__FPGA_PL0_ENABLE"'
        (Path(folder) / "wide.bin").write_bytes(Path(s.file).read_bytes())
        (Path(folder) / "wide.hwh").write_text(handoff.replace(old, new + old))
        pynq.Overlay(str(Path(folder) / "wide.bin"), device=s.device)
    read = [pynq.MMIO(a, 4, device=s.device).read(0) for a in (0xFD380000, 0xFD380014, 0xFD615000)]
    return {"registers": read}


def hold(s: Session) -> Any:
    """Start a run that takes long, say so, and wait for it."""
    frames = 1 << 22
    sent, got = s.buffer(s.input, frames), s.buffer(s.output, frames)
    s.start(sent, got, frames)
    print("running", flush=True)
    while not s.mmio.read(0) & 2:
        pass
    return {}


def selftest(s: Session) -> Any:
    """What pynq's developers run against a board."""
    return {"status": runner.main(["--ip", "127.0.0.1", "--port", str(s.port), "--bitstream", s.file])}


def main(bundle: str, port: str, *actions: str) -> None:
    """Run the actions on one device."""
    with tempfile.TemporaryDirectory() as folder:
        keep_state_apart(folder)
        device = Device.active_device if "PYNQ_REMOTE_DEVICES" in os.environ else None
        session = Session(Path(bundle), int(port), device)
        print(json.dumps({action: globals()[action](session) for action in actions}))


if __name__ == "__main__":
    main(*sys.argv[1:])
