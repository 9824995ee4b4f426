# SPDX-License-Identifier: Apache-2.0
"""A build folder: what `compile` makes of a model, and what every later stage starts from.

model.onnx                       the model as given, with weights in it that lay in files beside it
graph.json, graph.npz            the imported graph: the definitions, in the model's own steps
proof.json                       a certificate per layer
folding.json                     PE and SIMD of every unit, to edit and give back
design.json, design.npz          the lowered and folded graph with its FIFO depths
prediction.json                  interval, latency and resources, written before any RTL runs
rtl/                             the SystemVerilog top level, its memories and kernels
kernel/                          registers and AXI masters around them, and kernel.json that lists both
hls/                             the Vitis HLS project of the same design
systemc/                         its SystemC model
data/                            inputs, and where known labels and the reference models' outputs
manifest.json                    hashes of what went in and of what came out
check.json                       the last result of every stage that `check` ran
"""

from gatewright.build.compile import compile_model
from gatewright.build.folder import Build
from gatewright.build.samples import Array, load_array, load_inputs, store_data

__all__ = ["Array", "Build", "compile_model", "load_array", "load_inputs", "store_data"]
