# SPDX-License-Identifier: Apache-2.0
"""QONNX -> integer graph: a loop over the model's nodes that asks each operator; it names none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx

from gatewright.errors import ConfigError, GatewrightError, ModelError, UnsupportedError
from gatewright.frontend.expansion import ANYTHING, INSTEAD, expand
from gatewright.frontend.folding import array, fold
from gatewright.frontend.reading import batch_of, check_names, identifier, model_input, nodes_of, opset_of
from gatewright.frontend.shapes import output_shapes
from gatewright.ir.findings import Finding, Missing, missing_error, refusal, split_remedy
from gatewright.ir.graph import Graph, GraphOutput
from gatewright.ir.hosting import append_argmax, extend_tail, leave_to_host, note_steps
from gatewright.ir.importing import (
    Hosted,
    ImportContext,
    OnnxNode,
    Value,
    output_affine,
    stand_in,
    standard_index,
    unique_name,
)
from gatewright.ir.linear import integer_input
from gatewright.ir.op import Op, discover


@dataclass(frozen=True, eq=False)
class Examination:
    """A model read to its end.

    Attributes:
        graph: None where something stands in the way.
        findings: on every node in order, then on every output that has no place in the graph.
        errors: what stands in the way, in order; operands without a quantiser are one error.
        values: the model's tensors that depend on its inputs by name: which integers stand for each, in which layout.
        hosted: those that the host computes.
        missing: operands without a quantiser.
        outputs: names of the model's outputs.
    """

    graph: Graph | None
    findings: tuple[Finding, ...]
    errors: tuple[GatewrightError, ...]
    values: Mapping[str, Value] = field(default_factory=dict)
    hosted: Mapping[str, Hosted] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    outputs: tuple[str, ...] = ()


def import_model(path: str | Path, name: str | None = None, *, argmax: bool = False) -> Graph:
    """Read an ONNX file.

    Args:
        path: the model.
        name: of the graph and its top module; by default that of the file.
        argmax: make a final ArgMax hardware, which else the host computes; a model of one output that has none gets
            one, so that the hardware gives the top-1 label instead of scores. A softmax in front of it goes.

    Raises:
        ModelError: no such file, damaged, or no model.
        UnsupportedError: a node that has no hardware, named with its type, shape and a remedy; or every layer that
            lacks a quantiser, together.
    """
    return from_onnx(load_model(path), name or identifier(Path(path).stem), argmax=argmax)


def load_model(path: str | Path) -> onnx.ModelProto:
    """An ONNX file as it is.

    Raises:
        ModelError: no such file, damaged, or no model.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    try:
        model = onnx.load(str(path), load_external_data=False)
        _check_external(path, model)
        onnx.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model, full_check=False) if _standard(model) else None
    except ModelError:
        raise
    except Exception as error:  # onnx raises many types for damaged files
        first = str(error).strip().split("\n")[0][:200]
        raise ModelError(
            f"{path}: not a readable ONNX model ({type(error).__name__}: {first}); export it again"
        ) from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{path}: holds no nodes or no outputs; it is empty or truncated: export it again")
    return model


def _standard(model: onnx.ModelProto) -> bool:
    """Whether the checker of the onnx package knows all nodes."""
    return all(n.domain in ("", "ai.onnx") for n in model.graph.node)


def _check_external(path: Path, model: onnx.ModelProto) -> None:
    """Say which file with weights beside the model is missing."""
    for tensor in model.graph.initializer:
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        if location and not (path.parent / location).is_file():
            raise ModelError(
                f"{path}: the weights of {tensor.name!r} lie in {location!r}, which is not there: put that file beside "
                "the model, or save the model as one file"
            )


def from_onnx(model: onnx.ModelProto, name: str = "network", *, argmax: bool = False) -> Graph:
    """An ONNX model in memory as an integer graph; see `import_model`."""
    examination = examine(model, name, stop=True, argmax=argmax)
    if examination.graph is None:
        raise examination.errors[0]
    return examination.graph


def examine(model: onnx.ModelProto, name: str = "network", *, stop: bool = False, argmax: bool = False) -> Examination:
    """Import a model to its end, whatever stands in the way: a finding for every node.

    What a refused node gives is taken for integers of 8 bits where its shape is known, so that what follows is
    examined; where it is not, what follows is "not examined".

    Args:
        stop: raise at the first refused node, unless quantisers were missing before it.
        argmax: see `import_model`.

    Raises:
        ModelError: damage that leaves no nodes to look at.
    """
    ctx = _begin(model, argmax)
    operators, errors = discover(), list[GatewrightError]()
    for node in list(nodes_of(model)):
        found = _examine_node(node, ctx, operators)
        errors += found
        if found and stop and not ctx.missing:
            raise found[0]
    if ctx.missing:
        errors = [missing_error(ctx.missing), *errors]
    if errors and stop:
        return Examination(None, tuple(ctx.findings), tuple(errors))
    return _finish(model, name, ctx, operators, errors)


def _begin(model: onnx.ModelProto, argmax: bool) -> ImportContext:
    check_names(model.graph)
    ctx = ImportContext(
        reserved=frozenset({"top", *(unique_name(o.name, set()) for o in model.graph.output)}),
        opset=opset_of(model),
        hardware_argmax=argmax,
    )
    for initializer in model.graph.initializer:
        ctx.constants[initializer.name] = array(initializer)
    for info in model.graph.input:
        if info.name not in ctx.constants:
            ctx.values[info.name] = model_input(info)
            integer_input(ctx, ctx.values[info.name], info.type.tensor_type.elem_type)
    batches = {batch_of(info) for info in model.graph.input if info.name in ctx.values}
    ctx.batch = batches.pop() if len(batches) == 1 else None
    return ctx


def _finish(
    model: onnx.ModelProto,
    name: str,
    ctx: ImportContext,
    operators: Mapping[str, type[Op]],
    errors: list[GatewrightError],
) -> Examination:
    """The outputs, and the graph where nothing stands in the way."""
    outputs: list[GraphOutput] = []
    for item in (o.name for o in model.graph.output if o.name not in ctx.unknown):
        try:
            wanted = _label(item, model, ctx, operators) if ctx.hardware_argmax else item
            outputs.append(_output(wanted, ctx, {i.name for i in ctx.inputs} | {o.name for o in outputs}))
        except GatewrightError as error:
            errors.append(error)
            ctx.findings.append(refusal(item, "output", error))
    graph = None
    if not errors:
        try:
            graph = _graph(name, ctx, outputs)
        except GatewrightError as error:
            errors.append(error)
    names = tuple(o.name for o in model.graph.output)
    return Examination(graph, tuple(ctx.findings), tuple(errors), ctx.values, ctx.hosted, tuple(ctx.missing), names)


def _label(name: str, model: onnx.ModelProto, ctx: ImportContext, operators: Mapping[str, type[Op]]) -> str:
    """The only output of a model that gives scores, as the label that hardware takes from them; else as it is."""
    if any(n.op_type in ("ArgMax", "ArgMin") for n in model.graph.node):
        return name
    if len(model.graph.output) > 1:
        raise ModelError(
            f"argmax=True for {len(model.graph.output)} outputs of which none is an ArgMax: put one into the model"
        )
    if name not in ctx.values and name not in ctx.hosted:
        return name
    missing = len(ctx.missing)
    label = append_argmax(name, ctx, lambda node, inside: _import_node(node, inside, operators))
    if len(ctx.missing) > missing:
        raise missing_error(ctx.missing[missing:])
    return label


def _graph(name: str, ctx: ImportContext, outputs: list[GraphOutput]) -> Graph:
    if not ctx.inputs:
        raise ModelError(
            "the model has no quantiser on its input: it is a float model; train it with gatewright.nn "
            "or Brevitas, or put Quant nodes in (input, weights and activations)"
        )
    if not outputs:
        raise ModelError("the model has no outputs: the file is damaged; export it again")
    if not ctx.nodes:
        raise ModelError("the model holds nothing but quantisers of its inputs: there is no layer to make hardware for")
    graph = _prune(Graph(identifier(name), tuple(ctx.inputs), tuple(ctx.nodes), tuple(outputs)))
    if ctx.hardware_argmax and not any(n.op.gives_positions for n in graph.nodes):
        raise ModelError(
            "argmax=True asks for labels from the hardware, but they stand behind what the host computes: "
            "compile without it, or end the model with the scores of its last layer, or an ArgMax of them"
        )
    return graph


def _examine_node(node: OnnxNode, ctx: ImportContext, operators: Mapping[str, type[Op]]) -> list[GatewrightError]:
    """Import a node, note what it became, and give what stands in its way."""
    source = next((ctx.unknown[i] for i in node.inputs if i in ctx.unknown), None)
    if source is not None:
        ctx.findings.append(Finding(node.name, node.op_type, "not examined", f"reads the output of {source}"))
        ctx.unknown.update((o, source) for o in node.outputs if o)
        return []
    try:
        ctx.findings.append(_finding(node, ctx, operators))
    except GatewrightError as error:
        if isinstance(error, UnsupportedError) and error.node != node.name:
            later = _not_last(node, ctx, operators, error)
            return [error, *later, *_examine_node(node, ctx, operators)]
        ctx.findings.append(refusal(node.name, node.op_type, error))
        _stand_in_outputs(node, ctx)
        return [error]
    return []


def _not_last(
    node: OnnxNode, ctx: ImportContext, operators: Mapping[str, type[Op]], error: UnsupportedError
) -> list[GatewrightError]:
    """Refuse what was left to the host, because `node` needs its result in hardware, and examine again what follows."""
    chain = next(ctx.hosted[i].nodes for i in node.inputs if i in ctx.hosted)
    places = {f.node: i for i, f in enumerate(ctx.findings)}
    for output in (o for n in chain for o in n.outputs):
        ctx.hosted.pop(output, None)
    errors: list[GatewrightError] = []
    for i, hosted in enumerate(chain):
        if i == 0:
            ctx.findings.append(refusal(hosted.name, hosted.op_type, error))
            _stand_in_outputs(hosted, ctx)
        else:
            errors += _examine_node(hosted, ctx, operators)
        ctx.findings[places[hosted.name]] = ctx.findings.pop()
    return errors


def _finding(node: OnnxNode, ctx: ImportContext, operators: Mapping[str, type[Op]]) -> Finding:
    """Import a node, and say what it became."""
    units, missing = len(ctx.nodes), len(ctx.missing)
    _import_node(node, ctx, operators)
    if len(ctx.missing) > missing:
        reasons, remedies = zip(*(split_remedy(m.reason) for m in ctx.missing[missing:]), strict=True)
        text = "; ".join(dict.fromkeys(reasons)), "; ".join(dict.fromkeys(remedies))
        return Finding(node.name, node.op_type, "no quantiser", *text)
    left = [ctx.hosted[o] for o in node.outputs if o in ctx.hosted]
    if left:
        return Finding(node.name, node.op_type, "host", ", ".join(str(h.tail[-1].function) for h in left))
    made = ", ".join(dict.fromkeys(n.op.name() for n in ctx.nodes[units:]))
    return Finding(node.name, node.op_type, "hardware" if made else "folded", made)


def _stand_in_outputs(node: OnnxNode, ctx: ImportContext) -> None:
    """Give a refused node's outputs values, so that what reads them can be examined; note those of unknown shape."""
    shapes = output_shapes(node, ctx)
    for output in filter(None, node.outputs):
        ctx.values.pop(output, None)
        shape = shapes.get(output)
        if shape is None:
            ctx.unknown[output] = node.name
        else:
            ctx.values[output] = stand_in(ctx, output, shape, standard_index(shape))[0]


def _import_node(node: OnnxNode, ctx: ImportContext, operators: Mapping[str, type[Op]]) -> None:
    with _damage(node):
        if any(i in ctx.hosted for i in node.inputs):
            extend_tail(node, ctx, lambda n, inside: _import_node(n, inside, operators))
            return
        try:
            _take_node(node, ctx, operators)
        except UnsupportedError as refused:
            if not leave_to_host(node, ctx, refused):
                raise


@contextmanager
def _damage(node: OnnxNode) -> Iterator[None]:
    """What goes wrong in a node's own definition as an error of ours."""
    try:
        yield
    except ConfigError as error:
        raise UnsupportedError(node.name, str(error)) from error
    except GatewrightError:
        raise
    except (IndexError, KeyError) as error:
        raise ModelError(
            f"{node.name}: {node.op_type} lacks an input or attribute that its definition requires "
            f"({error}): the file is damaged"
        ) from error
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{node.name}: {node.op_type} has an input or attribute that its definition rules out "
            f"({error}): the file is damaged"
        ) from error


def _take_node(node: OnnxNode, ctx: ImportContext, operators: Mapping[str, type[Op]]) -> None:
    """Ask each operator."""
    missing = [i for i in node.inputs if i and i not in ctx.values and i not in ctx.constants]
    if missing:
        raise ModelError(
            f"{node.name}: {node.op_type} reads {missing[0]!r}, which nothing in the model writes: "
            "the file is damaged or its nodes are out of order"
        )
    if fold(node, ctx):
        return
    parts = expand(node, ctx)
    if parts is not None:
        for part in parts:
            _import_node(part, ctx, operators)
        return
    for operator in operators.values():
        try:
            # What grows beyond float64 is clipped by the next quantiser; what is no number at all is damaged.
            with np.errstate(over="ignore", under="ignore", divide="raise", invalid="raise"):
                if operator.from_onnx(node, ctx):
                    return
        except ConfigError as error:
            raise UnsupportedError(node.name, str(error)) from error
    shapes = ", ".join(
        str(ctx.values[i].shape if i in ctx.values else ctx.constants[i].shape) for i in node.inputs if i
    )
    domain = f"{node.domain}." if node.domain else ""
    raise UnsupportedError(
        node.name,
        f"operator {domain}{node.op_type} on frames of shape {shapes} has no hardware: "
        f"{INSTEAD.get(node.op_type, ANYTHING)}",
    )


def _output(name: str, ctx: ImportContext, taken: set[str]) -> GraphOutput:
    hosted = ctx.hosted.get(name)
    if hosted is None and name not in ctx.values:
        raise ModelError(f"output {name!r} does not depend on the model's inputs, or nothing writes it")
    value, tail = (ctx.values[name], ()) if hosted is None else (hosted.base, hosted.tail)
    if value.type is None:
        raise ModelError(
            f"output {name!r} depends on the inputs without any quantiser between: it is a float model; train it "
            "with gatewright.nn or Brevitas"
        )
    affine = output_affine(value)
    if affine is None:
        note_steps(name, value, ctx)
    steps = value.steps if affine is None else ()
    parts = (np.asarray(value.type.scale), np.zeros(1)) if affine is None else affine
    scale, offset = (np.broadcast_to(v, value.channels).astype(np.float64) for v in parts)
    output = unique_name(name, taken)
    positions = not value.steps and any(value.tensor in n.outputs and n.op.gives_positions for n in ctx.nodes)
    return GraphOutput(output, value.tensor, value.shape, value.index, scale, offset, steps, tail, positions)


def _prune(graph: Graph) -> Graph:
    """Without nodes that no output depends on: hardware must not stall on streams that nobody reads."""
    needed = {o.tensor for o in graph.outputs}
    kept = []
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            needed |= set(node.inputs)
            kept.append(node)
    return replace(graph, nodes=tuple(reversed(kept)), inputs=tuple(i for i in graph.inputs if i.name in needed))
