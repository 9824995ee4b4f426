# SPDX-License-Identifier: Apache-2.0
"""`gatewright doctor MODEL.onnx`: what becomes of every node of a model, and what would make all of it compile.

Nothing is built: the model is read to its end, and where that works, lowered and proven, layer by layer.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from gatewright.boards import Board, load_board
from gatewright.design.folding import Solver
from gatewright.design.streaming import streamed_until_it_fits, word_limit
from gatewright.errors import ProofError
from gatewright.frontend.importer import Examination, examine, load_model
from gatewright.frontend.origin import Origin, origins_of
from gatewright.ir.findings import Finding, Missing, Verdict, split_remedy
from gatewright.ir.graph import Graph, Node
from gatewright.passes.lower import lower
from gatewright.passes.prove import certify

SHOWN = 6
"""Names that a sentence holds before it says how many more there are."""


@dataclass(frozen=True)
class NodeVerdict:
    """What becomes of one node of the model.

    Attributes:
        node: its name as errors and files of a build have it.
        name: its name in the model.
        becomes: names of the integer operators that compute it, for "hardware"; else nothing.
        reason: where it went, or what is wrong with it.
        remedy: what to do about it; "" where nothing has to be done.
        source: line of the program that made it, where the model says so.
    """

    node: str
    name: str
    op_type: str
    verdict: Verdict
    becomes: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""
    source: str = ""


@dataclass(frozen=True)
class OutputVerdict:
    """What becomes of an output: the functions that are left to the host, or why it cannot be."""

    output: str
    host: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Layer:
    """A unit of the hardware, before it is folded.

    Attributes:
        nodes: of the model, as in `NodeVerdict.node`.
        accumulator_bits: None where nothing is summed.
        proof: how it was compared with its definition; "" where it was not.
        error: why it cannot be proven; "" where it was.
    """

    unit: str
    operator: str
    nodes: tuple[str, ...]
    in_bits: tuple[int, ...]
    out_bits: int
    accumulator_bits: int | None = None
    proof: str = ""
    error: str = ""


@dataclass(frozen=True)
class Fit:
    """Whether the smallest folding fits a board, FIFOs at their least depth.

    Attributes:
        reason: what is too large, and by how much.
        streamed: nodes of the folded graph whose weights the kernel reads from memory, because nothing fits otherwise.
    """

    board: str
    fits: bool
    resources: Mapping[str, float]
    capacity: Mapping[str, float]
    interval_cycles: int
    reason: str = ""
    streamed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remedy:
    """One thing to do, and the nodes that it helps.

    Attributes:
        reason: what is wrong, where that is one thing.
    """

    text: str
    nodes: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (some(self.nodes), self.reason, self.text)))


@dataclass(frozen=True)
class Diagnosis:
    """Everything about one model.

    Attributes:
        is_float: whether it holds no quantiser at all.
        nodes: in the order of the model.
        layers: of the hardware; empty where the model cannot be imported.
        fit: None where no board was named.
        remedies: what would make the whole model compile; empty where it does.
    """

    model: str
    is_float: bool
    nodes: tuple[NodeVerdict, ...]
    outputs: tuple[OutputVerdict, ...]
    layers: tuple[Layer, ...]
    fit: Fit | None
    remedies: tuple[Remedy, ...]

    @property
    def compiles(self) -> bool:
        """Whether `compile` would take the model (and, where a board was named, it fits)."""
        return not self.remedies

    @property
    def counts(self) -> dict[str, int]:
        """Nodes by verdict."""
        return dict(Counter(n.verdict for n in self.nodes))

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"model": self.model, "compiles": self.compiles, "counts": self.counts} | {
            k: v for k, v in asdict(self).items() if k != "model"
        }


def diagnose(path: str | Path, board: str | None = None, *, argmax: bool = False) -> Diagnosis:
    """Examine a model and say what stands in its way; nothing is built.

    Args:
        board: name of a board record, to say whether the smallest folding fits.
        argmax: as for `import_model`.

    Raises:
        ModelError: a file that cannot be read, or damage that leaves no nodes to look at.
        ConfigError: an unknown board.
    """
    target = None if board is None else load_board(board)
    model = load_model(path)
    found = examine(model, Path(path).stem, argmax=argmax)
    lowered, layers = (None, ()) if found.graph is None else _layers(found.graph)
    fit = None if target is None or lowered is None else _fit(lowered, target)
    is_float = not any(_quantises(n) for n in model.graph.node)
    nodes = _nodes(found, layers, origins_of(model.graph), {i.name for i in model.graph.input})
    remedies = [*_remedies(found, is_float, str(path)), *_proofs(layers)]
    if fit is not None and not fit.fits:
        remedies.append(Remedy("use a larger board or a smaller network", reason=fit.reason))
    return Diagnosis(str(path), is_float, nodes, _outputs(found), layers, fit, tuple(remedies))


def some(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _quantises(node: onnx.NodeProto) -> bool:
    """Whether a node is, or holds, a quantiser."""
    kind = str(node.op_type)
    whole = kind in ("MultiThreshold", "Trunc")
    return whole or "Quant" in kind or kind.startswith("QLinear") or kind.endswith("Integer")


# --- nodes ------------------------------------------------------------------------------------------------------------


def _nodes(
    found: Examination, layers: tuple[Layer, ...], origins: Mapping[str, Origin], inputs: set[str]
) -> tuple[NodeVerdict, ...]:
    verdicts = []
    for finding in (f for f in found.findings if f.op_type != "output"):
        origin = origins[finding.node]
        verdict = NodeVerdict(
            finding.node,
            origin.node,
            finding.op_type,
            finding.verdict,
            tuple(finding.reason.split(", ")) if finding.verdict == "hardware" else (),
            "" if finding.verdict == "hardware" else finding.reason,
            finding.remedy,
            origin.source,
        )
        if found.graph is not None:
            verdict = _placed(verdict, layers, found.graph)
        verdicts.append(_explained(verdict, origin, found, inputs) if verdict.verdict == "folded" else verdict)
    return tuple(verdicts)


def _placed(verdict: NodeVerdict, layers: tuple[Layer, ...], graph: Graph) -> NodeVerdict:
    """With the units that compute it, where the model has become hardware."""
    own = tuple(dict.fromkeys(k.operator for k in layers if k.nodes and k.nodes[-1] == verdict.node))
    if verdict.verdict == "hardware":
        if own:
            return replace(verdict, becomes=own)
        kept = any(verdict.node in n.origin for n in graph.nodes)
        why = "keeps every integer as it is: no hardware" if kept else "no output depends on it"
        return replace(verdict, verdict="folded", becomes=(), reason=why)
    hosts = [k for k in layers if verdict.node in k.nodes]
    if verdict.verdict == "folded" and hosts:
        return replace(verdict, reason=f"part of {some(dict.fromkeys(f'{k.unit} ({k.operator})' for k in hosts))}")
    return verdict


def _explained(verdict: NodeVerdict, origin: Origin, found: Examination, inputs: set[str]) -> NodeVerdict:
    """With where a node went that became no hardware."""
    if verdict.reason:
        return verdict
    known = [found.values[o] for o in origin.outputs if o in found.values]
    if not known and not any(o in found.hosted for o in origin.outputs):
        return replace(verdict, reason="a constant")
    fed = [v.tensor for v in known if v.tensor in inputs and v.type is not None]
    if fed:
        return replace(verdict, verdict="host", reason=f"in front of the hardware, for input {fed[0]!r}")
    for name in found.outputs:
        value = found.hosted[name].base if name in found.hosted else found.values.get(name)
        if value is not None and verdict.node in value.origin:
            return replace(verdict, reason=f"scale, offset and layout of output {name!r}")
    return replace(verdict, reason="waits for a quantiser" if any(v.steps for v in known) else "a view")


def _outputs(found: Examination) -> tuple[OutputVerdict, ...]:
    refused = [f for f in found.findings if f.op_type == "output"]
    if found.graph is None:
        return tuple(OutputVerdict(f.node, (), f.reason, f.remedy) for f in refused)
    return tuple(OutputVerdict(o.name, tuple(o.host_functions())) for o in found.graph.outputs)


# --- layers -----------------------------------------------------------------------------------------------------------


def _layers(graph: Graph) -> tuple[Graph | None, tuple[Layer, ...]]:
    """The lowered graph, where all of it can be proven, and every layer with its widths and proof."""
    try:
        lowered = lower(graph)
    except ProofError:
        return None, tuple(_unlowered(node) for node in graph.nodes)
    definitions = {n.name: n.op for n in graph.nodes}
    layers = []
    for node in lowered.nodes:
        layer = _layer(node)
        try:
            proof = certify(node, definitions.get(node.name))
            layer = replace(layer, accumulator_bits=proof.accumulator_bits, proof=proof.method)
        except ProofError as error:
            layer = replace(layer, error=str(error).removeprefix(f"{node.name}: "))
        layers.append(layer)
    return None if any(k.error for k in layers) else lowered, tuple(layers)


def _layer(node: Node) -> Layer:
    bits = tuple(t.bits for t in node.op.inputs)
    return Layer(node.name, node.op.name(), node.origin, bits, node.op.outputs[0].bits)


def _unlowered(node: Node) -> Layer:
    try:
        node.op.lower()
    except ProofError as error:
        return replace(_layer(node), error=str(error))
    return _layer(node)


def _fit(lowered: Graph, target: Board) -> Fit:
    """The smallest folding against the board, weights in memory where `compile` would put them there."""
    solver = streamed_until_it_fits(Solver(lowered, target, word_bits=word_limit(target, target.mhz)))
    slowest = max(o.interval for options in solver.options.values() for o in options)
    smallest = solver.for_interval(slowest)
    over = solver.excess(smallest)
    board = solver.board
    return Fit(
        board.name, not over, dict(solver.total(smallest)), dict(board.capacity), slowest,
        f"the smallest design is too large for {board.name}: {solver.say(over)}" if over else "",
        tuple(n.name for n in solver.graph.nodes if n.op.streamed),
    )  # fmt: skip


# --- remedies ---------------------------------------------------------------------------------------------------------


def _remedies(found: Examination, is_float: bool, path: str) -> list[Remedy]:
    """What to do about what stands in the way of the import: missing quantisers first, and as one."""
    remedies = []
    if is_float:
        command = f"gatewright quantize {shlex.quote(path)} --data X.npy"
        text = f"quantise the float model: without training by `{command}`, or train it with quantisers "
        remedies.append(Remedy(text + "(gatewright.nn or Brevitas) and export QONNX"))
    elif found.missing:
        remedies.append(_quantisers(found.missing))
    alike: dict[str, list[Finding]] = {}
    for finding in (f for f in found.findings if f.verdict == "refused"):
        alike.setdefault(finding.remedy or finding.reason, []).append(finding)
    for text, group in alike.items():
        reasons = {f.reason for f in group}
        reason = reasons.pop() if len(reasons) == 1 else ""
        remedies.append(Remedy(text, tuple(f.node for f in group), reason if reason != text else ""))
    if not remedies and found.graph is None:
        remedies += [Remedy(str(error)) for error in found.errors]
    return remedies


def _quantisers(missing: tuple[Missing, ...]) -> Remedy:
    if len(missing) == 1:
        reason, remedy = split_remedy(missing[0].reason)
        return Remedy(remedy, (missing[0].node,), reason)
    operands = [f"{m.what} {m.tensor!r} of {m.node} ({m.op_type})" for m in missing]
    return Remedy(
        f"put Quant nodes on {len(missing)} operands: {some(operands)}; train with gatewright.nn or Brevitas, so that "
        "they learn their scales"
    )


def _proofs(layers: tuple[Layer, ...]) -> list[Remedy]:
    return [Remedy(k.error, (k.unit,)) for k in layers if k.error]
