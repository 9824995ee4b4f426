# SPDX-License-Identifier: Apache-2.0
"""QKeras networks of the hls4ml source package, written as QONNX from their JSON and their weights.

A `quantized_bits` becomes a signed Quant node of its width, a `quantized_relu` an unsigned one, their scales powers of
two; both round half to even, as TensorFlow does. Frames are channels last, as in the model.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from .archives import HLS4ML

Floats = npt.NDArray[np.float32]
DOMAIN = "qonnx.custom_op.general"
FOLDER = "hls4ml-1.3.0/example-models"


def onnx_file(name: str) -> bytes:
    """An ONNX file of the package."""
    return HLS4ML.read(f"{FOLDER}/onnx/{name}.onnx")


def layers_of(name: str) -> list[Mapping[str, Any]]:
    """The layers of a Keras model: class names and settings."""
    return list(json.loads(HLS4ML.read(f"{FOLDER}/keras/{name}.json"))["config"]["layers"])


def weights_of(name: str) -> dict[str, Floats]:
    """Its trained numbers, by layer and kind: "q_dense/kernel"."""
    found: dict[str, Floats] = {}

    def visit(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            layer, _, kind = path.rpartition("/")
            found[f"{layer.split('/')[-1]}/{kind.partition(':')[0]}"] = np.asarray(item, np.float32)

    with h5py.File(io.BytesIO(HLS4ML.read(f"{FOLDER}/keras/{name}_weights.h5"))) as file:
        file.visititems(visit)
    return found


def make(name: str, input_scale: float, input_bits: int, signed: bool = False) -> onnx.ModelProto:
    """The network as QONNX, without its last softmax; its input is quantised as asked, which the original's is not.

    Raises:
        KeyError: a layer that this writer does not know.
    """
    writer = _Writer(weights_of(name))
    for layer in layers_of(name):
        writer.layer(layer["class_name"], layer["config"], (input_scale, input_bits, signed))
    return writer.model()


def width(quantizer: Mapping[str, Any]) -> tuple[float, int, bool, bool]:
    """Scale, bits, signed and narrow of a QKeras quantiser."""
    kind, config = quantizer["class_name"], quantizer["config"]
    bits, integer = config["bits"], config["integer"]
    if kind == "quantized_relu" and not config["use_sigmoid"] and not config["negative_slope"]:
        return 2.0 ** (integer - bits), bits, False, False
    if kind == "quantized_bits" and config["alpha"] == 1 and config["keep_negative"]:
        return 2.0 ** (integer - bits + 1), bits, True, bool(config["symmetric"])
    raise KeyError(f"quantiser {kind} {config}")


class _Writer:
    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.x, self.image = "x", False

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op_type: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{op_type}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [f"{name}_out"], name=name, domain=domain, **attributes)
        )
        return f"{name}_out"

    def quant(self, x: str, scale: float, bits: int, signed: bool, narrow: bool) -> str:
        operands = [self.constant(v) for v in (scale, 0, bits)]
        settings = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
        return self.node("Quant", x, *operands, domain=DOMAIN, **settings)

    def layer(self, kind: str, config: Mapping[str, Any], input_quant: tuple[float, int, bool]) -> None:
        """One layer of the model."""
        if kind == "InputLayer":
            shape = config["batch_input_shape"][1:]
            self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])]
            self.x = self.quant("x", *input_quant, False)
            self.image = len(shape) == 3
            self.x = self.node("Transpose", self.x, perm=[0, 3, 1, 2]) if self.image else self.x
        elif kind in ("QConv2D", "QDense"):
            self.product(kind, config)
        elif kind == "QActivation":
            self.x = self.quant(self.x, *width(config["activation"]))
        elif kind == "MaxPooling2D" and config["padding"] == "valid":
            window = {"kernel_shape": config["pool_size"], "strides": config["strides"]}
            self.x = self.node("MaxPool", self.x, **window)
        elif kind == "Flatten":
            self.x = self.node("Flatten", self.node("Transpose", self.x, perm=[0, 2, 3, 1]))
            self.image = False
        elif kind != "Dropout" and config.get("activation") != "softmax":
            raise KeyError(f"layer {kind} {config}")

    def product(self, kind: str, config: Mapping[str, Any]) -> None:
        """A convolution or a matrix product, and its activation."""
        kernel, bias = (self.weights[f"{config['name']}/{n}"] for n in ("kernel", "bias"))
        kernel = kernel.transpose(3, 2, 0, 1) if kind == "QConv2D" else kernel
        weight = self.quant(self.constant(kernel), *width(config["kernel_quantizer"]))
        offset = self.quant(self.constant(bias), *width(config["bias_quantizer"]))
        if kind == "QConv2D":
            assert config["padding"] == "valid"
            self.x = self.node("Conv", self.x, weight, offset, strides=config["strides"])
        else:
            self.x = self.node("Add", self.node("MatMul", self.x, weight), offset)
        if config["activation"] == "relu":
            self.x = self.node("Relu", self.x)
        elif config["activation"] != "linear":
            raise KeyError(f"activation {config['activation']}")

    def model(self) -> onnx.ModelProto:
        outputs = [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "qkeras", self.inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)
