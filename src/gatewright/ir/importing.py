# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of a model while it is imported: its node, and the values that reach it.

The importer walks the model's nodes and asks each operator's `from_onnx`. An operator that takes a node reads its
operands from the context and either emits itself, or changes a value without hardware (a float step that waits for
the next quantiser, a reshape that only renumbers elements).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import Step, affine_form, all_steps
from gatewright.ir.findings import Finding, Missing
from gatewright.ir.graph import GraphInput, Node
from gatewright.ir.host import HostStep, layout_index
from gatewright.ir.op import Op
from gatewright.ir.types import FloatArray, IntArray, Tensor

MAX_ELEMENTS = 1 << 26
"""Largest frame that an import accepts, so that a damaged shape cannot exhaust memory."""
BATCH = -(1 << 62)
"""Stands, in shapes that the model computes, for the size of a batch that the file leaves open."""


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """An ONNX node: name (made unique), type, domain, names of inputs ("" where left out) and outputs, attributes."""

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class QuantizedConstant:
    """A constant that went through a quantiser.

    Attributes:
        values: int64 in the constant's own shape.
        scale: float64, broadcastable to the shape.
    """

    values: IntArray
    scale: FloatArray
    bits: int


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the model during import.

    Attributes:
        tensor: name of the integer tensor behind it, or of the model's float input where nothing quantised it yet.
        type: of the integer tensor; None for a float input.
        shape: in the model, without the batch.
        index: int64 in the integer tensor's shape (channels last): flat position in the model's frame of each element.
        steps: float steps that the model applied since.
        code: None where the model's tensor holds real values, type.scale * integer and then the steps. A number where
            it holds the raw codes of an ONNX quantiser (int8, uint8, ...): code = integer + this zero point, and there
            are no steps; type.scale is the quantiser's, so that a DequantizeLinear with its scale and zero point only
            takes the mark off.

    A `from_onnx` that moves elements (a reshape, a slice, a pool of maxima) keeps the mark: it makes its result with
    `dataclasses.replace(value, ...)`, or sets `code` on the value that `emit` made. One that puts elements in, such as
    a padding, takes their code as the integer code - zero point. One that joins values of which some are codes needs
    one scale and one zero point for all. Whatever computes reads `as_number()`, where codes are numbers like others.
    """

    tensor: str
    type: Tensor | None
    shape: tuple[int, ...]
    index: IntArray
    steps: tuple[Step, ...] = ()
    origin: tuple[str, ...] = ()
    code: int | None = None

    @property
    def channels(self) -> int:
        """Channels of the integer tensor."""
        return int(self.index.shape[-1])

    def as_number(self) -> Value:
        """The value as real numbers: a raw code is the number integer + zero point, its steps wait for a quantiser.

        Exact while the scale has the 24 significant bits of a float32 and the integers have at most 29 bits, as those
        of every ONNX quantiser: then scale * integer / scale is the integer in float64.
        """
        if self.code is None or self.type is None:
            return replace(self, code=None)
        scale = self.type.scale if isinstance(self.type.scale, tuple) else (self.type.scale,)
        divide = (Step("div", scale),) if set(scale) != {1.0} else ()
        shift = (Step("add", (float(self.code),)),) if self.code else ()
        return replace(self, steps=(*self.steps, *divide, *shift), code=None)

    def channel_vector(self, constant: npt.NDArray[np.generic]) -> tuple[float, ...] | None:
        """A constant operand as one number, or one per channel; None where it varies within a channel."""
        if constant.size == 1:
            return (float(constant.ravel()[0]),)
        try:
            full = np.broadcast_to(constant, (1, *self.shape)).ravel()[self.index]
        except ValueError:
            return None
        flat = full.reshape(-1, self.channels)
        return tuple(flat[0].tolist()) if (flat == flat[0]).all() else None


@dataclass(frozen=True, eq=False)
class Hosted:
    """A tensor of the model that the host computes after the hardware.

    Attributes:
        base: what leaves the hardware.
        tail: functions of its frames.
        integers: whether it holds positions, labels or codes, not real values.
        refused: what is raised where something reads it that needs hardware.
        nodes: of the model that made it, from the first that the host computes.
    """

    base: Value
    tail: tuple[HostStep, ...]
    integers: bool
    refused: UnsupportedError
    nodes: tuple[OnnxNode, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame in the model, without the batch."""
        return self.tail[-1].shape


def standard_index(shape: tuple[int, ...]) -> IntArray:
    """Index of a channels-first frame (C, ...) laid out channels last: what a fresh model input has."""
    return layout_index(shape)


@dataclass(eq=False)
class ImportContext:
    """The state of one import.

    Attributes:
        constants: initialisers and folded constants by name.
        quantized: constants behind a quantiser by name.
        values: tensors that depend on the model's inputs by name.
        reserved: names that no node may take: the outputs', and that of the top level.
        opset: version of the definitions of ONNX' own operators.
        batch: size of the batch in the file; None where it is left open.
        internal: tensors between the parts of an expanded node by name, and the operand of the model behind them.
        open_batch: constants in which `BATCH` stands for it.
        findings: the verdict on every node so far.
        missing: operands without a quantiser, for which a stand-in of 8 bits was taken so that the import goes on.
        stand_ins: integer tensors that are such a stand-in, or moved or pooled from one: their scale means nothing.
        unknown: tensors of unknown shape by name, and the refused node that they come from.
        hosted: tensors that the host computes after the hardware by name.
        hardware_argmax: whether a final ArgMax becomes hardware.
    """

    constants: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    quantized: dict[str, QuantizedConstant] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    inputs: list[GraphInput] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    reserved: frozenset[str] = frozenset()
    opset: int = 17
    batch: int | None = None
    open_batch: set[str] = field(default_factory=set)
    internal: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    stand_ins: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)
    hosted: dict[str, Hosted] = field(default_factory=dict)
    hardware_argmax: bool = False

    def constant(self, node: OnnxNode, position: int) -> npt.NDArray[np.generic]:
        """A constant operand.

        Raises:
            UnsupportedError: it is computed by the model.
        """
        name = node.inputs[position]
        if name not in self.constants:
            raise UnsupportedError(
                node.name,
                f"{node.op_type} needs a constant as input {position} ({name!r}); "
                "fold constants before export (e.g. qonnx-cleanup)",
            )
        if self.constants[name].dtype.kind in "OUS":
            raise UnsupportedError(
                node.name,
                f"{node.op_type} reads the constant {name!r} of type {self.constants[name].dtype}: numbers are needed; "
                "export it again",
            )
        if name in self.open_batch:
            raise UnsupportedError(
                node.name,
                f"{node.op_type} computes with the size of the batch in {name!r}, which the file leaves open: export "
                "the model with a fixed batch, or with shapes as constants",
            )
        return self.constants[name]

    def dims(self, node: OnnxNode, position: int) -> list[int]:
        """A constant operand that is a shape, in which `BATCH` may stand for the batch that the file leaves open."""
        name = node.inputs[position]
        return [
            int(n) for n in (self.constants[name] if name in self.open_batch else self.constant(node, position)).ravel()
        ]

    def weight(self, node: OnnxNode, position: int, what: str = "weight") -> QuantizedConstant:
        """A quantised constant operand; a stand-in, which is noted, where it has no quantiser.

        Raises:
            UnsupportedError: it is computed by the model.
        """
        name = node.inputs[position]
        if name in self.quantized:
            return self.quantized[name]
        if name in self.constants:
            text = (
                f"{what} {name!r} is float and has no quantiser: quantise it "
                "(a Quant node on the constant; train with gatewright.nn or Brevitas)"
            )
            self.missing.append(Missing(node.name, node.op_type, what, name, text))
            return stand_in_weight(self.constants[name])
        raise UnsupportedError(
            node.name,
            f"{what} {name!r} is not a constant, and products of two activations have no hardware: use a constant",
        )

    def is_dynamic(self, name: str) -> bool:
        """Whether a tensor depends on the model's inputs."""
        return name in self.values

    def integer(
        self, node: OnnxNode, position: int, moves: Callable[[Value], bool] = lambda value: not value.steps
    ) -> tuple[Value, Tensor]:
        """An operand that must be integers: quantised, with no float step since; a stand-in, which is noted, where not.

        Args:
            moves: whether the caller takes a value with the float steps that it has, because it moves them behind.
        """
        name = node.inputs[position]
        value = self.values[name].as_number()
        if value.type is None:
            return self._stand_in(
                node,
                name,
                f"{node.op_type} reads the float input {value.tensor!r}: put a quantiser on the model's input",
            )
        if moves(value):
            return value, value.type
        steps = ", ".join(s.kind for s in value.steps)
        behind = f"after float steps ({steps}) that" if steps else "with one scale per channel, which"
        return self.unquantised(node, position, f"{behind} no quantiser{'' if steps else ' of one scale'} follows")

    def unquantised(self, node: OnnxNode, position: int, reason: str) -> tuple[Value, Tensor]:
        """A stand-in for an operand whose float steps cannot be moved behind the node, which is noted."""
        name = self.internal.get(node.inputs[position], node.inputs[position])
        text = f"{node.op_type} reads {name!r} {reason}: put a Quant node in front of {node.op_type}"
        return self._stand_in(node, node.inputs[position], text)

    def _stand_in(self, node: OnnxNode, name: str, reason: str) -> tuple[Value, Tensor]:
        """Note that a tensor lacks a quantiser, and give what a quantiser of 8 bits would."""
        self.missing.append(Missing(node.name, node.op_type, "input", self.internal.get(name, name), reason))
        value = self.values[name]
        return stand_in(self, name, value.shape, value.index)

    def emit(
        self,
        op: Op,
        inputs: tuple[Value, ...],
        output: str,
        node: OnnxNode,
        shape: tuple[int, ...],
        index: IntArray | None = None,
    ) -> None:
        """Add an operator with one output, which becomes the model's tensor `output` of frame shape `shape`."""
        check_size(node, op.outputs[0])
        name = unique_name(node.name, {n.name for n in self.nodes} | self.reserved)
        tensor = unique_name(output, {t for n in self.nodes for t in n.outputs} | {i.name for i in self.inputs})
        origin = tuple(dict.fromkeys(o for v in inputs for o in v.origin)) + (node.name,)
        self.nodes.append(Node(name, op, tuple(v.tensor for v in inputs), (tensor,), origin))
        if not op.composite and self.stand_ins.intersection(v.tensor for v in inputs):
            self.stand_ins.add(tensor)
        self.values[output] = Value(tensor, op.outputs[0], shape, standard_index(shape) if index is None else index)

    def extend(self, value: Value, step: Step, output: str, node: OnnxNode) -> None:
        """Let a float step wait for the next quantiser.

        Raises:
            UnsupportedError: its operand is not finite, or neither one number nor one per channel.
        """
        if step.per_channel and len(step.values) not in (1, value.channels):
            raise UnsupportedError(
                node.name, f"{len(step.values)} constants for {value.channels} channels: give one, or one per channel"
            )
        finite = step.kind == "clip" or bool(np.isfinite(step.values).all())
        if not finite or (step.kind == "div" and 0.0 in step.values):
            raise UnsupportedError(
                node.name, f"{step.kind} by constants that are not finite or 0: train the model again"
            )
        self.values[output] = replace(value, steps=(*value.steps, step), origin=(*value.origin, node.name))

    def scale(self, node: OnnxNode, factor: FloatArray, offset: FloatArray) -> None:
        """Multiply the node's output and add to it, by one number or one per channel; nothing where it is 1 or 0."""
        output = node.outputs[0]
        for kind, operand, idle in (("mul", factor, 1.0), ("add", offset, 0.0)):
            if (operand != idle).any():
                self.extend(self.values[output], Step(kind, _shortest(operand)), output, node)  # type: ignore[arg-type]  # a literal

    def relay_input(self, name: str, order: IntArray, shape: tuple[int, ...]) -> bool:
        """Let the host send a graph input in another order; says whether it can, which it cannot once a node reads it.

        Args:
            order: int64 of shape (elements,): which element of the present order each of the new one is.
            shape: of the tensor then.
        """
        place = next((i for i, g in enumerate(self.inputs) if g.name == name), None)
        values = {k: v for k, v in self.values.items() if v.tensor == name}
        floats = all(v.type is None for v in values.values())  # which nothing quantised yet
        if any(name in n.inputs for n in self.nodes) or (place is None and not floats):
            return False
        known = None if place is None else self.inputs[place]
        chains = [() if known is None else known.steps, *(v.steps for v in values.values())]
        if any(s.per_channel and len(s.values) > 1 for steps in chains for s in all_steps(steps)):
            return False
        if known is not None and (isinstance(known.tensor.scale, tuple) or isinstance(known.rounding.divisor, tuple)):
            return False
        for key, value in values.items():
            tensor = None if value.type is None else replace(value.type, shape=shape)
            self.values[key] = replace(value, type=tensor, index=value.index.ravel()[order].reshape(shape))
        if place is not None and known is not None:
            index = known.index.ravel()[order].reshape(shape)
            self.inputs[place] = replace(known, tensor=replace(known.tensor, shape=shape), index=index)
        return True


STAND_IN_BITS = 8


def stand_in(ctx: ImportContext, name: str, shape: tuple[int, ...], index: IntArray) -> tuple[Value, Tensor]:
    """What a quantiser would give for the tensor `name`, so that what follows can be examined; never built."""
    tensor = Tensor(index.shape, -(1 << STAND_IN_BITS - 1), (1 << STAND_IN_BITS - 1) - 1)
    value = Value(f"{name} (stand-in)", tensor, shape, index)
    ctx.stand_ins.add(value.tensor)
    return value, tensor


def stand_in_weight(constant: npt.NDArray[np.generic]) -> QuantizedConstant:
    """A float constant on a grid of 8 bits; never built."""
    real = np.nan_to_num(constant.astype(np.float64))
    top = float(np.abs(real).max(initial=0.0))
    scale = top / ((1 << STAND_IN_BITS - 1) - 1) if top > 0 else 1.0
    return QuantizedConstant(np.rint(real / scale).astype(np.int64), np.asarray(scale), STAND_IN_BITS)


def _shortest(operand: FloatArray) -> tuple[float, ...]:
    """One number where all are equal."""
    values = tuple(float(v) for v in operand.ravel())
    return values[:1] if len(set(values)) == 1 else values


def check_size(node: OnnxNode, tensor: Tensor) -> None:
    """Refuse a frame that only a damaged attribute can ask for.

    Raises:
        UnsupportedError: it has more than `MAX_ELEMENTS`.
    """
    if tensor.size > MAX_ELEMENTS:
        raise UnsupportedError(node.name, f"output {tensor} has more than {MAX_ELEMENTS} elements: use a smaller frame")


def unique_name(name: str, taken: Container[str]) -> str:
    """`name` as an identifier, with a number where it is taken."""
    base = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_") or "n"
    base = f"n_{base}" if base[0].isdigit() else base
    candidate, i = base, 1
    while candidate in taken:
        i += 1
        candidate = f"{base}_{i}"
    return candidate


def output_affine(value: Value) -> tuple[FloatArray, FloatArray] | None:
    """Scale and offset per channel that turn the integers of a final value into reals; None where they cannot."""
    if value.type is None or not all(s.affine for s in value.steps):
        return None
    if value.code is not None:
        return np.ones(value.channels), np.full(value.channels, float(value.code))
    factor, offset = affine_form(value.steps, value.channels)
    return factor * np.asarray(value.type.scale), offset
