# SPDX-License-Identifier: Apache-2.0
"""Nodes that the host computes behind the hardware: the end of a model for which there is no hardware.

The first such node takes a value with its float steps; views and elementwise functions behind it are imported by the
operators themselves, as they would be in front of a model's first quantiser, and other functions follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx

from gatewright.errors import ModelError, UnsupportedError
from gatewright.ir.host import (
    ArgMax,
    Arithmetic,
    Cast,
    Elementwise,
    Hardmax,
    HostFunction,
    HostStep,
    Quantizer,
    Softmax,
    TopK,
    layout_index,
)
from gatewright.ir.importing import Hosted, ImportContext, OnnxNode, Value
from gatewright.ir.types import Tensor

ARITHMETIC: Mapping[str, Arithmetic] = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow", "Min": "min", "Max": "max", "PRelu": "prelu",
}  # fmt: skip
WHOLE = (
    "Add",
    "Cast",
    "DequantizeLinear",
    "Flatten",
    "Identity",
    "Mul",
    "Reshape",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
)
"""What may follow positions and labels."""

Importer = Callable[[OnnxNode, ImportContext], None]


def leave_to_host(node: OnnxNode, ctx: ImportContext, refused: UnsupportedError) -> bool:
    """Leave to the host a node that has no hardware; says whether the host can compute it.

    Args:
        refused: why it has no hardware; raised later where something behind it needs hardware.
    """
    dynamic = [i for i in node.inputs if ctx.is_dynamic(i)]
    if ctx.hardware_argmax and node.op_type in ("ArgMax", "ArgMin"):
        return False
    if len(dynamic) != 1 or ctx.values[dynamic[0]].type is None or _may_wrap(node, ctx):
        return False
    value = ctx.values[dynamic[0]]
    found = _functions(node, ctx, _Operand(node.inputs.index(dynamic[0]), value.shape))
    if node.op_type in _READERS and node.op_type != "Cast":
        refused = UnsupportedError(node.name, f"{node.op_type} in the middle of a model has no hardware")
    for output, function in found.items():
        hosted = Hosted(value, (_step(function, value.shape),), _integers(function, False), refused, (node,))
        ctx.hosted[output] = hosted
    return bool(found)


def extend_tail(node: OnnxNode, ctx: ImportContext, import_node: Importer) -> None:
    """Let the host compute a node that reads what the host computed.

    Args:
        import_node: how a node is imported otherwise.

    Raises:
        UnsupportedError: it needs hardware, or is nothing that the host computes.
    """
    operands = {i: ctx.hosted[i] for i in node.inputs if i in ctx.hosted}
    first = next(iter(operands.values()))
    operand = _Operand(node.inputs.index(next(iter(operands))), first.shape)
    if ctx.hardware_argmax and node.op_type == "ArgMax" and _keeps_order(node, first, operand):
        scores = f"{node.inputs[0]} (scores)"
        ctx.values[scores] = first.base
        import_node(replace(node, inputs=(scores,)), ctx)
        return
    nodes = (*dict.fromkeys(n for h in operands.values() for n in h.nodes), node)
    found: dict[str, HostFunction] = {}
    if not first.integers and _may_wrap(node, ctx):
        raise _in_the_middle(node, first)
    if (not first.integers or node.op_type in WHOLE) and not any(ctx.is_dynamic(i) for i in node.inputs):
        alone = len(operands) == 1
        found = _functions(node, ctx, operand, elementwise=False) if alone else {}
        view = None if found else _view(node, ctx, operands, import_node)
        if node.outputs[0] in ctx.constants:  # the shape of a frame
            return
        if view is not None:
            integers = _integers(view.function, first.integers)
            ctx.hosted[node.outputs[0]] = replace(first, tail=(*first.tail[:-1], view), integers=integers, nodes=nodes)
            return
        if alone and not found:
            quantizer = _quantizer(node, ctx, operand, import_node)
            found = _functions(node, ctx, operand) if quantizer is None else {node.outputs[0]: quantizer}
    if not found:
        raise _in_the_middle(node, first)
    for output, function in found.items():
        tail = (*first.tail, _step(function, first.shape))
        integers = _integers(function, first.integers)
        ctx.hosted[output] = replace(first, tail=tail, integers=integers, nodes=nodes)


def note_steps(name: str, value: Value, ctx: ImportContext) -> None:
    """Note that the host computes the float steps of an output."""
    ctx.findings = [
        replace(f, verdict="host", reason=f"behind the last layer, in output {name!r}")
        if f.node in value.origin and f.verdict == "folded"
        else f
        for f in ctx.findings
    ]


def append_argmax(name: str, ctx: ImportContext, import_node: Importer) -> str:
    """Take the place of the greatest score of the output `name`, and give the name of the result.

    Raises:
        UnsupportedError: the output is no vector or map of scores, or cannot be compared in hardware.
    """
    shape = ctx.hosted[name].shape if name in ctx.hosted else ctx.values[name].shape
    longer = [i for i, n in enumerate(shape, 1) if n > 1]
    if not longer:
        raise UnsupportedError(name, f"a frame of shape {shape!r} has one score: compile without argmax")
    label = f"{name}_label"
    axis = longer[0] if len(longer) == 1 else 1
    import_node(OnnxNode(f"argmax of {name}", "ArgMax", "", (name,), (label,), {"axis": axis, "keepdims": 0}), ctx)
    return label


def _keeps_order(node: OnnxNode, hosted: Hosted, operand: _Operand) -> bool:
    """Whether the greatest value along the axis of an ArgMax is where it was before the host's functions."""
    axis = int(node.attributes.get("axis", 0)) % operand.rank
    return all(
        isinstance(step.function, Softmax)
        and step.function.axes == (axis,)
        and not step.steps
        and step.shape == hosted.base.shape
        and np.array_equal(step.index, step.source)
        for step in hosted.tail
    )


def _in_the_middle(node: OnnxNode, hosted: Hosted) -> UnsupportedError:
    refused = hosted.refused
    if isinstance(hosted.tail[0].function, (Elementwise, Cast)):
        return refused
    return UnsupportedError(
        refused.node,
        f"{refused.reason}, and {node.name} ({node.op_type}) reads its result, which the host cannot compute: "
        "remove one of them, or end the model before them and run them outside",
    )


def _view(node: OnnxNode, ctx: ImportContext, operands: Mapping[str, Hosted], import_node: Importer) -> HostStep | None:
    """The last step of the tail with a view or float step more; None where the node is neither.

    The node is imported as if the host's frame were the input of a model of its own.
    """
    first, *others = operands.values()
    if any(h.base is not first.base or not _same_tail(h.tail, first.tail) for h in others):
        return None
    inside = _inside(ctx)
    for name, hosted in operands.items():
        inside.values[name], inside.values["(host)"] = _as_input(hosted.tail[-1])
    try:
        import_node(node, inside)
    except UnsupportedError:
        return None
    value = inside.values.get(node.outputs[0])
    if inside.inputs or inside.nodes or inside.missing or value is None:
        return None
    function = first.tail[-1].function
    function = replace(function, code=value.code) if isinstance(function, Quantizer) else function
    # The order of the elements may have changed, as the host may send those of an input in any order.
    return HostStep(function, inside.values["(host)"].index, value.index, value.shape, value.steps)


def _as_input(step: HostStep) -> tuple[Value, Value]:
    """What a step of the tail gives, as the input of a model of its own: now, and as it entered before its views.

    Codes stay integers of their scale.
    """
    function, tensor, code = step.function, None, None
    if isinstance(function, Quantizer) and function.code is not None:
        tensor, code = Tensor(step.index.shape, function.lo, function.hi, function.scale), function.code
    now = Value("(host)", tensor, step.shape, step.index, step.steps, code=code)
    return now, replace(now, index=step.source)


def _inside(ctx: ImportContext) -> ImportContext:
    """The constants of a model, for a node of its own."""
    return ImportContext(
        constants=ctx.constants,
        quantized=dict(ctx.quantized),
        opset=ctx.opset,
        batch=ctx.batch,
        open_batch=ctx.open_batch,
    )


def _quantizer(node: OnnxNode, ctx: ImportContext, operand: _Operand, import_node: Importer) -> Quantizer | None:
    """A quantiser, imported as that of a model's input, which the host computes too; None where the node is none."""
    inside, index = _inside(ctx), layout_index(operand.shape)
    name = node.inputs[operand.position]
    inside.values[name] = inside.values["(host)"] = Value("(host)", None, operand.shape, index)
    try:
        import_node(node, inside)
    except UnsupportedError:
        return None
    value = inside.values.get(node.outputs[0])
    if len(inside.inputs) != 1 or inside.nodes or inside.missing or value is None or value.steps:
        return None
    if value.shape != operand.shape or not np.array_equal(value.index, index):
        return None
    known = inside.inputs[0]
    tensor = known.tensor
    bipolar = tensor.encoding == "bipolar"
    return Quantizer(tensor.scale, tensor.lo, tensor.hi, known.steps, bipolar, known.rounding, value.code)


def _same_tail(left: tuple[HostStep, ...], right: tuple[HostStep, ...]) -> bool:
    """Whether two tails differ in the views and float steps behind their last function alone."""
    same = all(a is b for a, b in zip(left[:-1], right[:-1], strict=False)) and len(left) == len(right)
    a, b = left[-1], right[-1]
    return same and a.function is b.function and np.array_equal(a.source, b.source)


def _step(function: HostFunction, shape: tuple[int, ...]) -> HostStep:
    frame = function.frame(shape)
    index = layout_index(frame)
    return HostStep(function, index, index, frame)


def _integers(function: HostFunction, before: bool) -> bool:
    if isinstance(function, Quantizer):
        return function.code is not None
    if isinstance(function, Cast):
        return not np.issubdtype(np.dtype(function.dtype), np.floating)
    return before or isinstance(function, ArgMax) or (isinstance(function, TopK) and function.positions)


@dataclass(frozen=True)
class _Operand:
    """Which input of a node the model computes, and the shape of a frame of it."""

    position: int
    shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Axes with the batch."""
        return 1 + len(self.shape)


def _functions(
    node: OnnxNode, ctx: ImportContext, operand: _Operand, elementwise: bool = True
) -> dict[str, HostFunction]:
    """The host's function for each output of a node; nothing where it has none."""
    if node.domain not in ("", "ai.onnx"):
        return {}
    if node.op_type in ARITHMETIC:
        function = _elementwise(node, ctx, operand) if elementwise else None
        return {} if function is None else {node.outputs[0]: function}
    if operand.position != 0 or node.op_type not in _READERS:
        return {}
    functions = _READERS[node.op_type](node, ctx, operand)
    return {output: f for output, f in zip(node.outputs, functions, strict=False) if output}


def _softmax(node: OnnxNode, ctx: ImportContext, operand: _Operand) -> tuple[HostFunction, ...]:
    """Before opset 13 the axes from `axis` on are taken together."""
    joint = ctx.opset < 13
    axis = _axis(node, node.attributes.get("axis", 1 if joint else -1), operand)
    axes = tuple(range(axis, operand.rank)) if joint else (axis,)
    return (Hardmax(axes),) if node.op_type == "Hardmax" else (Softmax(axes, node.op_type == "LogSoftmax"),)


def _arg_max(node: OnnxNode, ctx: ImportContext, operand: _Operand) -> tuple[HostFunction, ...]:
    axis = _axis(node, node.attributes.get("axis", 0), operand)
    kept, last = _flag(node, "keepdims", 1), _flag(node, "select_last_index", 0)
    return (ArgMax(axis, kept, last, node.op_type == "ArgMin"),)


def _top_k(node: OnnxNode, ctx: ImportContext, operand: _Operand) -> tuple[HostFunction, ...]:
    axis = _axis(node, node.attributes.get("axis", -1), operand)
    given = ctx.constant(node, 1).ravel() if len(node.inputs) > 1 else np.asarray([node.attributes["k"]])
    length = operand.shape[axis - 1]
    if given.size != 1 or not 1 <= int(given[0]) <= length:
        raise UnsupportedError(node.name, f"TopK with k={given.tolist()!r} of {length} values: use 1 to {length}")
    largest = _flag(node, "largest", 1)
    return tuple(TopK(axis, int(given[0]), largest, positions) for positions in (False, True))


def _cast(node: OnnxNode, ctx: ImportContext, operand: _Operand) -> tuple[HostFunction, ...]:
    try:
        dtype: npt.DTypeLike = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
    except (TypeError, ValueError) as error:
        raise ModelError(f"{node.name}: Cast to {node.attributes['to']!r} is no type that ONNX knows") from error
    kind = np.dtype(dtype)
    if kind.kind not in "fiub":
        raise UnsupportedError(node.name, f"Cast to {kind} has no hardware: remove it")
    return (Cast("float64" if kind.kind == "f" and kind.itemsize >= 4 else kind.name),)


def _flag(node: OnnxNode, name: str, default: int) -> bool:
    """An attribute that is 0 or 1.

    Raises:
        ModelError: it is another number, which runtimes read differently.
    """
    value = node.attributes.get(name, default)
    if value not in (0, 1):
        raise ModelError(f"{node.name}: {name}={value!r} is neither 0 nor 1: the file is damaged")
    return bool(value)


def _axis(node: OnnxNode, given: int, operand: _Operand) -> int:
    """An axis counted from the front, the batch being 0.

    Raises:
        UnsupportedError: it is the batch.
        ModelError: there is none such.
    """
    if not -operand.rank <= given < operand.rank:
        raise ModelError(f"{node.name}: axis={given!r} of a tensor of {operand.rank} axes: the file is damaged")
    axis = int(given) % operand.rank
    if axis == 0:
        raise UnsupportedError(
            node.name, f"{node.op_type} over axis 0 mixes the frames of a batch: use axis=1 or a later one"
        )
    return axis


def _may_wrap(node: OnnxNode, ctx: ImportContext) -> bool:
    """Whether a node computes in integers, which cut off and wrap: the host has float64 for all but positions."""
    constants = [ctx.constants[i].dtype.kind for i in node.inputs if i in ctx.constants]
    return node.op_type in ARITHMETIC and node.op_type not in ("Min", "Max") and any(k in "iu" for k in constants)


def _elementwise(node: OnnxNode, ctx: ImportContext, operand: _Operand) -> Elementwise | None:
    """Arithmetic with one constant; None where the constants are of another shape than frames can have."""
    name = node.inputs[1 - operand.position] if len(node.inputs) == 2 else ""
    if name not in ctx.constants or name in ctx.open_batch:
        return None
    constant = np.asarray(ctx.constants[name], np.float64)
    damaged = not np.isfinite(constant).all() or (node.op_type == "Div" and operand.position == 0 and 0.0 in constant)
    if damaged or constant.ndim > operand.rank or (node.op_type == "PRelu" and operand.position == 1):
        return None
    constant = constant.reshape((1,) * (operand.rank - constant.ndim) + constant.shape)
    try:
        whole = np.broadcast_shapes((1, *operand.shape), constant.shape)
    except ValueError:
        return None
    return Elementwise(ARITHMETIC[node.op_type], constant, operand.position == 1) if whole[0] == 1 else None


_Reader = Callable[[OnnxNode, ImportContext, _Operand], tuple[HostFunction, ...]]
_READERS: Mapping[str, _Reader] = {
    "Softmax": _softmax, "LogSoftmax": _softmax, "Hardmax": _softmax, "ArgMax": _arg_max, "ArgMin": _arg_max,
    "TopK": _top_k, "Cast": _cast,
}  # fmt: skip
