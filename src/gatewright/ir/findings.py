# SPDX-License-Identifier: Apache-2.0
"""What an import finds out about a model, node by node: what each becomes, or why not and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gatewright.errors import GatewrightError, UnsupportedError

Verdict = Literal["hardware", "folded", "host", "no quantiser", "refused", "not examined"]
"""A unit or several; nothing of its own (a constant, a view, a step of the next quantiser); left to the host; taken but
for quantisers that are missing; without hardware, or damaged; behind a node whose output has no known shape."""
WORKS: tuple[Verdict, ...] = ("hardware", "folded", "host")
"""Verdicts that do not stand in the way of compiling."""


@dataclass(frozen=True)
class Finding:
    """The verdict on one node of a model, or on one of its outputs (then `op_type` is "output").

    Attributes:
        node: name of the node (as errors give it), or of the output.
        reason: what it becomes, or what is wrong with it.
        remedy: what to do about it; "" where nothing has to be done.
    """

    node: str
    op_type: str
    verdict: Verdict
    reason: str = ""
    remedy: str = ""

    @property
    def works(self) -> bool:
        """Whether the model compiles as far as this node is concerned."""
        return self.verdict in WORKS


@dataclass(frozen=True)
class Missing:
    """An operand that a layer needs in integers, and that no quantiser stands before.

    Attributes:
        node: name of the layer.
        op_type: of the layer.
        what: the operand is, as "weight" or "input".
        tensor: name of the operand in the model.
        reason: in words, with the remedy behind the last colon.
    """

    node: str
    op_type: str
    what: str
    tensor: str
    reason: str


def missing_error(missing: Sequence[Missing]) -> UnsupportedError:
    """One error that names all operands without a quantiser, and the remedy."""
    first = missing[0]
    if len(missing) == 1:
        return UnsupportedError(first.node, first.reason)
    operands = ", ".join(f"{m.what} {m.tensor!r} of {m.node} ({m.op_type})" for m in missing)
    return UnsupportedError(
        first.node,
        f"{len(missing)} quantisers are missing where layers need integers, on {operands}: put a Quant node on each, "
        "by training with gatewright.nn or Brevitas, or let `gatewright quantize` put them into a float model",
    )


def refusal(node: str, op_type: str, error: GatewrightError) -> Finding:
    """The finding that an error is."""
    reason, remedy = split_remedy(error.reason if isinstance(error, UnsupportedError) else str(error))
    return Finding(node, op_type, "refused", reason.removeprefix(f"{node}: "), remedy)


def split_remedy(text: str) -> tuple[str, str]:
    """A message of ours as what is wrong and what to do, which stands behind its last colon, else semicolon."""
    for mark in (": ", "; "):
        reason, found, remedy = text.rpartition(mark)
        if found:
            return reason, remedy
    return text, ""
