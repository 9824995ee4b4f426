# SPDX-License-Identifier: Apache-2.0
"""Nodes of constants are computed while a model is read, and so are shapes of activations; both within bounds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from gatewright.errors import ModelError, UnsupportedError
from gatewright.frontend.shapes import LARGEST_CONSTANT, Array, constant_shapes, one_node_model
from gatewright.ir.importing import BATCH, MAX_ELEMENTS, ImportContext, OnnxNode, QuantizedConstant

ELEMENTWISE = (
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "BitShift",
    "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh",
    "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
    "Identity", "IsInf", "IsNaN", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax",
    "LpNormalization", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal",
    "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Sum",
    "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
)  # fmt: skip
ARRANGE = (
    "ArgMax", "ArgMin", "Compress", "Concat", "CumSum", "DepthToSpace", "Flatten", "Gather", "GatherND", "NonZero",
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare", "Reshape", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "TopK",
    "Transpose", "Trilu", "Unique", "Unsqueeze",
)  # fmt: skip
GROW = ("ConstantOfShape", "EyeLike", "Expand", "OneHot", "Pad", "Range", "Tile")
"""Nodes whose result is as large as a number among their operands says."""
SLOW = ("GatherElements", "Resize", "ScatterElements", "ScatterND", "Upsample")
"""Nodes that the reference evaluator walks element by element in Python."""
PRODUCTS = ("Gemm", "MatMul")
MOST_SLOW = 1 << 16
"""Elements of the largest operand or result of a slow node."""
MOST_PRODUCTS = 1 << 33
"""Multiplications of a product, at most."""
MOVERS = ("Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze")
"""Nodes that may move the size of a batch that the file leaves open."""
VIEWS = ("Cast", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""Nodes through which a constant stays quantised."""
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)


def fold(node: OnnxNode, ctx: ImportContext) -> bool:
    """Compute a node of constants, or the shape of an activation, and say whether it was one.

    Raises:
        UnsupportedError: it computes with a batch size that is open, would be too large, or cannot be computed.
    """
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "Constant" and not node.inputs:
        ctx.constants[node.outputs[0]] = _constant(node)
        return True
    if node.op_type in ("Shape", "Size") and ctx.is_dynamic(node.inputs[0]):
        _shape(node, ctx)
        return True
    operands = [i for i in node.inputs if i]
    foldable = node.op_type in (*ELEMENTWISE, *ARRANGE, *GROW, *SLOW, *PRODUCTS)
    if not foldable or not all(i in ctx.constants for i in operands):
        return False
    if any(i in ctx.open_batch for i in operands):
        _move_batch(node, ctx)
    elif node.inputs and node.inputs[0] in ctx.quantized and _keep_quantised(node, ctx):
        pass
    else:
        ctx.constants.update(_evaluate(node, ctx, ctx.constants))
    return True


def array(tensor: onnx.TensorProto) -> Array:
    """A tensor of the file.

    Raises:
        ModelError: it is damaged.
    """
    try:
        value = np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception as error:  # onnx raises many types for damaged tensors
        raise ModelError(
            f"constant {tensor.name!r} is damaged ({type(error).__name__}: {error}): export it again"
        ) from error
    if value.dtype.kind == "c":
        raise ModelError(f"constant {tensor.name!r} is complex, which has no hardware: export real numbers")
    return value


def _constant(node: OnnxNode) -> Array:
    if "value" in node.attributes:
        return array(node.attributes["value"])
    for key in ("value_float", "value_int", "value_floats", "value_ints"):
        if key in node.attributes:
            return np.asarray(node.attributes[key], np.float32 if "float" in key else np.int64)
    if "sparse_value" in node.attributes:
        return _dense(node, node.attributes["sparse_value"])
    raise UnsupportedError(node.name, "a Constant that holds no numbers has no hardware: fold it before export")


def _dense(node: OnnxNode, sparse: onnx.SparseTensorProto) -> Array:
    """A sparse constant with its zeros; indices are flat positions, or one coordinate an axis."""
    shape, values, indices = tuple(sparse.dims), array(sparse.values), array(sparse.indices).astype(np.int64)
    _check_result(node, {"it": shape})
    out = np.zeros(shape, values.dtype)
    at = (indices,) if indices.ndim == 1 else (np.ravel_multi_index(tuple(indices.T), shape),)
    out.ravel()[at[0]] = values
    return out


def _shape(node: OnnxNode, ctx: ImportContext) -> None:
    """`Shape` and `Size` of an activation; the batch is that of the file, or left open."""
    output, dims = node.outputs[0], (ctx.batch or BATCH, *ctx.values[node.inputs[0]].shape)
    if node.op_type == "Size":
        if ctx.batch is None:
            raise _open(node)
        ctx.constants[output] = np.asarray(math.prod(dims), np.int64)
        return
    start, end = node.attributes.get("start", 0), node.attributes.get("end", len(dims))
    _set_open(ctx, output, np.asarray(dims[start:end], np.int64))


def _open(node: OnnxNode) -> UnsupportedError:
    return UnsupportedError(
        node.name, f"{node.op_type} computes with the size of the batch, which the file leaves open: export the model "
        "with a fixed batch, or with shapes as constants"
    )  # fmt: skip


def _set_open(ctx: ImportContext, output: str, value: Array) -> None:
    """A constant that may hold the size of the batch."""
    ctx.constants[output] = value
    if (value == BATCH).any():
        ctx.open_batch.add(output)


def _move_batch(node: OnnxNode, ctx: ImportContext) -> None:
    """Let the open size of a batch be moved, and by nothing else."""
    if node.op_type not in MOVERS or any(i in ctx.open_batch for i in node.inputs[1:] if node.op_type != "Concat"):
        raise _open(node)
    if node.op_type == "Cast":
        if node.attributes.get("to") not in (onnx.TensorProto.INT32, onnx.TensorProto.INT64):
            raise _open(node)
        _set_open(ctx, node.outputs[0], ctx.constants[node.inputs[0]])
        return
    ((output, value),) = _evaluate(node, ctx, {i: _wide(ctx.constants[i]) for i in node.inputs if i}).items()
    _set_open(ctx, output, value)


def _wide(value: Array) -> Array:
    """Integers in the 64 bits that the mark of an open batch needs."""
    return value.astype(np.int64) if np.issubdtype(value.dtype, np.integer) else value


def _keep_quantised(node: OnnxNode, ctx: ImportContext) -> bool:
    """Let the integers of a constant go through a view, and a factor into its scale."""
    known, output = ctx.quantized[node.inputs[0]], node.outputs[0]
    if node.op_type in VIEWS:
        moved = _view(node, ctx, known)
    elif node.op_type in ("Mul", "Div", "Neg"):
        moved = _scaled(node, ctx, known)
    else:
        return False
    if moved is None:
        return False
    ctx.quantized[output] = moved
    ctx.constants[output] = np.asarray(moved.values * moved.scale)
    return True


def _view(node: OnnxNode, ctx: ImportContext, known: QuantizedConstant) -> QuantizedConstant | None:
    if node.op_type == "Cast":
        return known if node.attributes.get("to") in FLOATS else None
    operands = {i: ctx.constants[i] for i in node.inputs if i}

    def view(x: Array) -> Array:
        return _evaluate(node, ctx, operands | {node.inputs[0]: x})[node.outputs[0]]

    scale = known.scale if known.scale.size == 1 else view(np.broadcast_to(known.scale, known.values.shape))
    return replace(known, values=np.asarray(view(known.values), np.int64), scale=np.asarray(scale, np.float64))


def _scaled(node: OnnxNode, ctx: ImportContext, known: QuantizedConstant) -> QuantizedConstant | None:
    factor = -np.ones(()) if node.op_type == "Neg" else ctx.constants[node.inputs[1]].astype(np.float64)
    fits = np.broadcast_shapes(factor.shape, known.values.shape) == known.values.shape
    if not fits or not np.isfinite(factor).all() or not factor.all():
        return None
    size, sign = np.abs(factor), np.sign(factor).astype(np.int64)
    scale = known.scale / size if node.op_type == "Div" else known.scale * size
    return replace(known, values=known.values * sign, scale=np.asarray(scale))


def _evaluate(node: OnnxNode, ctx: ImportContext, constants: Mapping[str, Array]) -> dict[str, Array]:
    """The node's outputs by ONNX' reference evaluator, once their size is known to be bounded."""

    operands = {n: constants[n] for n in dict.fromkeys(node.inputs) if n}
    _check_work(node, operands, constant_shapes(node, operands, ctx.opset))
    outputs = [o for o in node.outputs if o]
    try:
        infos = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in operands]
        model = one_node_model(node, infos, {}, ctx.opset)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(outputs, operands)
    except Exception as error:  # the evaluator raises many types
        raise UnsupportedError(
            node.name, f"{node.op_type} of constants cannot be computed ({_first(error)}): fold constants before export"
        ) from error
    return {name: np.asarray(value) for name, value in zip(outputs, results, strict=True)}


def _first(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _check_work(node: OnnxNode, operands: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse what would be too large or take too long, before it is computed."""
    _check_result(node, shapes)
    sizes = [math.prod(s) for s in shapes.values()] + [o.size for o in operands.values()]
    most, kind = max(sizes, default=0), node.op_type
    if not shapes and kind not in ARRANGE:
        raise UnsupportedError(
            node.name, f"{kind} of constants whose shapes do not fit one another: the file is damaged; export it again"
        )
    if kind in GROW and any(_largest(o) > MAX_ELEMENTS for o in operands.values() if o.size <= LARGEST_CONSTANT):
        raise _too_large(node, "too many")
    depth = max((n for o in operands.values() for n in o.shape), default=1)
    if (kind in SLOW and most > MOST_SLOW) or (kind in PRODUCTS and most * depth > MOST_PRODUCTS):
        raise _too_large(node, str(most))


def _largest(operand: Array) -> float:
    """Greatest size that an operand may stand for: of integers, for infinities are no sizes."""
    return float(np.abs(operand.astype(np.float64)).max(initial=0)) if operand.dtype.kind in "iu" else 0.0


def _check_result(node: OnnxNode, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for shape in shapes.values():
        if math.prod(shape) > MAX_ELEMENTS or min(shape, default=0) < 0:
            raise _too_large(node, str(math.prod(shape)))


def _too_large(node: OnnxNode, elements: str) -> UnsupportedError:
    return UnsupportedError(
        node.name, f"{node.op_type} of constants with {elements} elements is not computed at import: fold constants "
        "before export"
    )  # fmt: skip
