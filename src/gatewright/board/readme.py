# SPDX-License-Identifier: Apache-2.0
"""The README.md of a bundle: for the person at the board, who may know nothing of Gatewright."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewright.ir.graph import Graph
from gatewright.runtime.transport import load_command

ZYNQ = """\
On the board, as root (PYNQ lets no one else at the hardware):

```
source /etc/profile.d/pynq_venv.sh
python3 run.py verify
python3 run.py benchmark
```

`verify` loads the bitstream, replays the {frames} golden frames of `golden/`, and compares every integer that comes
back. `benchmark` measures latency and frames a second. {virtual}"""

VIRTUAL = """\
The bitstream in this folder is a virtual one, for a simulated board: no FPGA takes it. On any computer
with Gatewright and Verilator, `gatewright board serve .` simulates the board; the same two commands, with
`--device 127.0.0.1` after them and without root, then run against it from anywhere that has NumPy and pynq."""

SERIAL = """\
Put `{bitstream}` on the board (`{load}`; it is lost with the power). Then, on the computer
at its USB port, with Python 3.8 or newer, NumPy and pyserial:

```
python3 run.py verify
python3 run.py benchmark
```

`verify` replays the {frames} golden frames of `golden/` over the serial port, and compares every integer that comes
back. `benchmark` measures latency and frames a second. {virtual}"""

VIRTUAL_SERIAL = """\
The bitstream in this folder is a virtual one, for a simulated board: no FPGA takes it. On any computer
with Gatewright and Verilator, `gatewright board serve . --link PORT` simulates the board; the same two commands, with
`--device PORT` after them, then run against it."""

ALVEO = """\
There is no bitstream in this folder yet: an Alveo card takes a `.xclbin`, which only Vitis can link. Until then the
driver cannot run; `gatewright check --stages kernel` simulates the kernel, masters and registers included."""

CARD = """\
On the machine with the card, where XRT and pynq are installed:

```
source /opt/xilinx/xrt/setup.sh
python3 run.py verify
python3 run.py benchmark
```

`verify` loads the bitstream, replays the {frames} golden frames of `golden/`, and compares every integer that comes
back. `benchmark` measures latency and frames a second."""

PROGRAM = """\
In a program:

```python
from gatewright_runtime import Accelerator

with Accelerator(".") as accelerator:
    y = accelerator.run(x)
```
"""


def readme(record: Mapping[str, Any], graph: Graph, frames: int) -> str:
    """The text.

    Args:
        record: what bundle.json says.
        graph: the imported graph.
        frames: golden frames in the bundle.
    """
    predicted, mhz = record["predicted"], record["mhz"]
    fps, latency = mhz * 1e6 / predicted["interval_cycles"], predicted["latency_cycles"] / mhz
    ports = [_line("input", i.name, i.shape) for i in graph.inputs]
    ports += [_line("output", o.name, o.shape) for o in graph.outputs]
    return "\n".join(
        [
            f"# {record['name']} on {record['title']}\n",
            f"A neural network as an accelerator for {record['part']}: {fps:,.0f} frames/s and {latency:,.4g} us of",
            f"latency are predicted at {mhz:g} MHz. Hash of the design: `{record['kernel']['hash']}`.\n",
            _ways(record, frames) + "\n",
            PROGRAM,
            "Real-valued arrays go in and come out, in batches of any size:\n",
            *ports,
            "\n`bundle.json` has a SHA-256 of every file; the driver checks them before it starts.\n",
        ]
    )


def _ways(record: Mapping[str, Any], frames: int) -> str:
    """How to run it."""
    bitstream = record["bitstream"]
    if bitstream is None:
        return ALVEO
    virtual = bitstream["kind"] == "virtual"
    if bitstream["kind"] == "xclbin":
        return CARD.format(frames=frames)
    if record.get("transport") == "uart":
        shown = VIRTUAL_SERIAL if virtual else ""
        load = load_command(record["board"], bitstream["file"])
        return SERIAL.format(frames=frames, bitstream=bitstream["file"], load=load, virtual=shown).rstrip()
    return ZYNQ.format(frames=frames, virtual=VIRTUAL if virtual else "").rstrip()


def _line(kind: str, name: str, shape: tuple[int, ...]) -> str:
    return f"- {kind} `{name}`: ({', '.join(['frames', *map(str, shape)])})"
