# SPDX-License-Identifier: Apache-2.0
"""Illegal and mutated ONNX files, and what becomes of each: `python -m tests.frontend.mutants FIRST COUNT`.

Every case prints one JSON line: its seed, the kinds of mutation, and "refused" (with the message), "equal", "tie",
"unjudged" (the runtime does not take the model) or "wrong". The process may take no more memory and CPU time than its
limits allow, so that a case that hangs or grows ends it; the seed is printed before the case begins.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, helper, numpy_helper
from tests.frontend.legal.net import Roller
from tests.frontend.legal.networks import grow
from tests.models import Builder, random_network, small_network, two_layers

from gatewright.errors import GatewrightError
from gatewright.frontend.importer import import_model
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

MEMORY = 6 << 30
CPU_SECONDS = 20
"""What one case may take; most take milliseconds."""

Rng = np.random.Generator
INTEGERS = (-(1 << 63), -(1 << 31), -1000, -2, -1, 0, 1, 2, 3, 7, 255, 65_536, (1 << 31) - 1, 1 << 40, (1 << 63) - 1)
ATTRIBUTES = (
    "alpha", "auto_pad", "axes", "axis", "ceil_mode", "epsilon", "group", "keepdims", "kernel_shape", "mode", "pads",
    "perm", "rounding_mode", "signed", "strides", "to", "transB",
)  # fmt: skip
REALS = (float("nan"), float("inf"), -float("inf"), 0.0, -0.0, -1.0, 1e-45, 1e-20, 0.3, 1.0, 1e20, 3e38)
TYPES = (
    "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "ConvTranspose",
    "DequantizeLinear", "Div", "Dropout", "Expand", "Flatten", "Gather", "Gemm", "GlobalAveragePool",
    "Identity", "If", "LSTM", "LeakyRelu", "Loop", "MatMul", "MaxPool", "Mul", "NoSuchOperator", "Pad", "Pow",
    "QLinearConv", "QuantizeLinear", "Quant", "ReduceMean", "Relu", "Reshape", "Resize", "Shape", "Sigmoid",
    "Slice", "Softmax", "Split", "Squeeze", "Sub", "Tile", "TopK", "Transpose", "Unsqueeze",
)  # fmt: skip


def pick(rng: Rng, items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


# --- mutations --------------------------------------------------------------------------------------------------------


def drop_node(m: onnx.ModelProto, rng: Rng) -> None:
    del m.graph.node[int(rng.integers(len(m.graph.node)))]


def double_node(m: onnx.ModelProto, rng: Rng) -> None:
    m.graph.node.insert(int(rng.integers(len(m.graph.node) + 1)), pick(rng, m.graph.node))


def swap_nodes(m: onnx.ModelProto, rng: Rng) -> None:
    nodes = list(m.graph.node)
    i, j = rng.integers(len(nodes), size=2)
    nodes[i], nodes[j] = nodes[j], nodes[i]
    del m.graph.node[:]
    m.graph.node.extend(nodes)


def rewire(m: onnx.ModelProto, rng: Rng) -> None:
    names = ["", "x", "nowhere", *(n.output[0] for n in m.graph.node), *(c.name for c in m.graph.initializer)]
    node = pick(rng, m.graph.node)
    kind = rng.integers(4)
    if kind == 0:
        node.input.append(pick(rng, names))
    elif kind == 1 and node.input:
        del node.input[int(rng.integers(len(node.input)))]
    elif kind == 2:
        node.output[0] = pick(rng, names)
    elif node.input:
        node.input[int(rng.integers(len(node.input)))] = pick(rng, names)


def retype(m: onnx.ModelProto, rng: Rng) -> None:
    pick(rng, m.graph.node).op_type = pick(rng, TYPES)


def redomain(m: onnx.ModelProto, rng: Rng) -> None:
    pick(rng, m.graph.node).domain = pick(
        rng, ("", "ai.onnx", "com.microsoft", "qonnx.custom_op.general", "qonnx.custom_op.channels_last", "a.b")
    )


def reattribute(m: onnx.ModelProto, rng: Rng) -> None:
    """Change, remove, add or damage an attribute."""
    node = pick(rng, m.graph.node)
    kind = rng.integers(4)
    if kind == 0 or not node.attribute:
        name = pick(rng, ATTRIBUTES)
        value = pick(
            rng, (int(pick(rng, INTEGERS)), pick(rng, REALS), "NOTSET", [1, 1], [int(pick(rng, INTEGERS))] * 2)
        )
        node.attribute.append(helper.make_attribute(name, value))
        return
    place = int(rng.integers(len(node.attribute)))
    attribute = node.attribute[place]
    if kind == 1:
        del node.attribute[place]
    elif kind == 2:
        attribute.type = int(rng.integers(15))
    else:
        _revalue(attribute, rng)


def _revalue(attribute: AttributeProto, rng: Rng) -> None:
    if attribute.type == AttributeProto.INT:
        attribute.i = int(pick(rng, INTEGERS))
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = pick(rng, REALS)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = pick(rng, (b"", b"\xff\xfe", b"SAME_UPPER", b"FLOOR", b"reflect"))
    elif attribute.type == AttributeProto.INTS:
        values = list(attribute.ints) or [0]
        if rng.integers(3):
            values[int(rng.integers(len(values)))] = int(pick(rng, INTEGERS))
        else:
            values = values[1:] if rng.integers(2) else [*values, int(pick(rng, INTEGERS))]
        del attribute.ints[:]
        attribute.ints.extend(values)


def reconstant(m: onnx.ModelProto, rng: Rng) -> None:
    """Other elements, shape or type of a constant, or a tensor that does not hold what it says."""
    if not m.graph.initializer:
        return
    tensor = pick(rng, m.graph.initializer)
    array = np.array(numpy_helper.to_array(tensor))
    kind = rng.integers(7)
    if kind == 0:
        tensor.dims.append(int(pick(rng, INTEGERS)))
    elif kind == 1:
        tensor.data_type = int(rng.integers(24))
    elif kind == 2 and tensor.raw_data:
        tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]
    elif kind == 3:
        tensor.CopyFrom(
            numpy_helper.from_array(np.resize(array, rng.integers(0, 4, int(rng.integers(0, 5)))), tensor.name)
        )
    elif kind == 4:
        kinds = (np.float64, np.float16, np.int8, np.uint8, np.int32, np.int64, np.bool_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tensor.CopyFrom(numpy_helper.from_array(array.astype(pick(rng, kinds)), tensor.name))
    elif array.size and np.issubdtype(array.dtype, np.floating):
        array.flat[int(rng.integers(array.size))] = pick(rng, REALS) if kind == 5 else array.flat[0] * 3
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    elif array.size:
        array.flat[int(rng.integers(array.size))] = np.clip(pick(rng, INTEGERS), *_limits(array.dtype))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    return (0, 1) if dtype == np.bool_ else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def reshape_input(m: onnx.ModelProto, rng: Rng) -> None:
    shape = m.graph.input[0].type.tensor_type.shape
    kind = rng.integers(4)
    if kind == 0:
        shape.dim.add().dim_value = int(pick(rng, INTEGERS))
    elif kind == 1 and shape.dim:
        del shape.dim[-1]
    elif kind == 2:
        m.graph.input[0].type.tensor_type.elem_type = int(rng.integers(24))
    elif shape.dim:
        shape.dim[int(rng.integers(len(shape.dim)))].dim_value = int(pick(rng, INTEGERS))


def reend(m: onnx.ModelProto, rng: Rng) -> None:
    """Other outputs, or none."""
    kind = rng.integers(3)
    if kind == 0:
        del m.graph.output[:]
    elif kind == 1:
        m.graph.output[0].name = pick(rng, ("", "x", "nowhere", pick(rng, m.graph.node).output[0]))
    else:
        m.graph.output.add().name = pick(rng, m.graph.node).output[0]


def reopset(m: onnx.ModelProto, rng: Rng) -> None:
    if not rng.integers(4):
        del m.opset_import[:]
    else:
        m.opset_import[0].version = int(pick(rng, (-1, 0, 1, 6, 8, 9, 10, 11, 13, 18, 21, 999)))


def insert(m: onnx.ModelProto, rng: Rng) -> None:
    """A node of any type between two others."""
    node = pick(rng, m.graph.node)
    if not node.input:
        return
    name = f"inserted{rng.integers(1 << 30)}"
    kind = pick(rng, TYPES)
    m.graph.node.insert(list(m.graph.node).index(node), helper.make_node(kind, [node.input[0]], [name], name=name))
    node.input[0] = name


def rename(m: onnx.ModelProto, rng: Rng) -> None:
    pick(rng, m.graph.node).name = pick(rng, ("", "top", "module", "a b/c:0", "x", "9", "é", m.graph.node[0].name))


MUTATIONS: tuple[Callable[[onnx.ModelProto, Rng], None], ...] = (
    drop_node, double_node, swap_nodes, rewire, retype, redomain, reattribute, reattribute, reconstant, reconstant,
    reshape_input, reend, reopset, insert, rename,
)  # fmt: skip


# --- seeds ------------------------------------------------------------------------------------------------------------


def _random(seed: int) -> onnx.ModelProto:
    b = Builder(((2, 6, 5), (1, 8, 8), (3, 5, 7))[seed % 3], batch=2)
    outputs, _ = random_network(b, seed, exact=True)
    return b.model(*outputs)


def seed_model(seed: int) -> onnx.ModelProto:
    """A legal model; every number in it is exact in float32."""
    kind = seed % 8
    if kind == 0:
        b, y = small_network((1, 4, 4))
        return b.model(y)
    if kind == 1:
        b, y = two_layers()
        return b.model(y)
    return grow(Roller(seed), exact=True).model() if kind % 2 else _random(seed)


def mutant(seed: int) -> tuple[bytes, list[str]]:
    """The bytes of a case and the mutations in it."""
    rng = np.random.default_rng(seed)
    model = seed_model(seed)
    names = []
    for _ in range(int(pick(rng, (1, 1, 1, 2, 3)))):
        change = pick(rng, MUTATIONS)
        if model.graph.node and model.graph.output:
            try:
                change(model, rng)
            except Exception:  # what was damaged before cannot always be changed again
                continue
            names.append(change.__name__)
    content = model.SerializeToString()
    if not rng.integers(8):
        names.append("bytes")
        content = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            content[int(rng.integers(len(content)))] ^= int(rng.integers(1, 256))
        content = bytes(content[: int(rng.integers(len(content)))] if not rng.integers(4) else content)
    return content, names


# --- judging ----------------------------------------------------------------------------------------------------------


def outcome(content: bytes, folder: Path) -> tuple[str, str]:
    """What becomes of a file, and why."""
    path = folder / "m.onnx"
    path.write_bytes(content)
    try:
        graph = import_model(path)
        lowered = lower(graph)
        prove(graph, lowered)
    except GatewrightError as error:
        return "refused", str(error)
    infos = {i.name: i.type.tensor_type for i in onnx.load_from_string(content).graph.input}
    batch = next((d.dim_value for t in infos.values() for d in t.shape.dim[:1] if 1 <= d.dim_value <= 8), 2)
    xs = [sample((batch, *i.shape), infos[i.name].elem_type) for i in graph.inputs]
    have = graph.predict(*xs)
    integers = graph.quantize(*xs)
    for a, b in zip(graph.reference(*integers), lowered.reference(*integers), strict=True):
        if not np.array_equal(a, b):
            return "wrong", "the lowered graph differs from golden"
    want = reference(content, {i.name: x for i, x in zip(graph.inputs, xs, strict=True)})
    if isinstance(want, str):
        return "unjudged", want
    return compare(have, want)


def sample(shape: tuple[int, ...], kind: int) -> np.ndarray:
    """Frames for an input of an ONNX type: on a grid of 1/16, or integers."""
    x = np.random.default_rng(0).integers(-40, 41, shape)
    narrow = {onnx.TensorProto.UINT4: (0, 15), onnx.TensorProto.INT4: (-8, 7)}
    narrow |= {onnx.TensorProto.UINT2: (0, 3), onnx.TensorProto.INT2: (-2, 1)}
    if kind in narrow:
        return np.clip(x, *narrow[kind]).astype(np.int8)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind)) if kind else np.dtype(np.float32)
    if dtype.kind not in "iu":
        return np.float32(x / 16)
    return np.clip(x, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def compare(have: Any, want: list[np.ndarray]) -> tuple[str, str]:
    worst = 0.0
    for a, b in zip(have, want, strict=True):
        if a.size != b.size:
            return "wrong", f"shapes {a.shape} and {b.shape}"
        b = b.reshape(a.shape).astype(np.float64)
        if not np.isfinite(b).all():
            return "unjudged", "the reference is not finite"
        worst = max(worst, float(np.abs(a - b).max(initial=0) / max(1e-30, np.abs(b).max(initial=0))))
    return ("equal", "") if worst <= 1e-6 else ("differs", f"by {worst:.3g} of the largest output")


def reference(content: bytes, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray] | str:
    """The model's outputs as the qonnx package computes them, or why it does not."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    try:
        proto = onnx.load_from_string(content)
        for info in proto.graph.input:
            if info.name in feeds:
                info.type.tensor_type.shape.dim[0].dim_value = len(feeds[info.name])
        names = [o.name for o in proto.graph.output]
        model = ModelWrapper(proto).transform(InferShapes())
        context = execute_onnx(model, dict(feeds), return_full_exec_context=True)
        return [np.asarray(context[n]) for n in names]
    except Exception as error:  # the runtime's own complaints, of any type
        return f"{type(error).__name__}: {error}"[:200]


def main() -> None:
    first, count = map(int, sys.argv[1:3])
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as name:
        for seed in range(first, first + count):
            used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
            resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, resource.RLIM_INFINITY))
            content, names = mutant(seed)
            print(json.dumps({"seed": seed, "begins": names}), flush=True)
            try:
                kind, reason = outcome(content, Path(name))
            except Exception:  # what no input may cause
                kind, reason = "traceback", traceback.format_exc()[-1500:]
            print(json.dumps({"seed": seed, "kinds": names, "outcome": kind, "reason": reason}), flush=True)


if __name__ == "__main__":
    main()
