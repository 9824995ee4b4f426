# SPDX-License-Identifier: Apache-2.0
"""From a quantised torch model to a QONNX file."""

from __future__ import annotations

import ast
import copy
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import cast

import onnx
import torch
from torch import Tensor, nn

import gatewright.nn
from gatewright.errors import ConfigError, DataError, GatewrightError, ModelError
from gatewright.frontend.freeze import freeze
from gatewright.frontend.origin import SOURCE, shortened
from gatewright.nn import QuantIdentity, QuantWeightMixin

TYPE_KEEPING = ("Concat", "Flatten", "Identity", "MaxPool", "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze")
REPLACEMENTS = {
    nn.Linear: "gatewright.nn.QuantLinear",
    nn.Conv1d: "gatewright.nn.QuantConv1d",
    nn.Conv2d: "gatewright.nn.QuantConv2d",
}
EXPORTED_AS_THEY_ARE = (nn.BatchNorm1d, nn.BatchNorm2d)
LIBRARIES = (Path(torch.__file__).parent, Path(__file__).parent, Path(gatewright.nn.__file__).parent)
"""Folders whose calls say nothing about the user's program."""


def export(model: nn.Module, path: str | Path, example_input: Tensor) -> onnx.ModelProto:
    """Write ``model``, in evaluation mode, as a QONNX file; the model itself is left untouched.

    Weights are stored on their grid (scale * integer) and pass a Quant node of the same scale, so that every
    reader recovers the same integers. The batch is dynamic, all other dimensions are static.

    Args:
        model: built from the layers and quantisers of ``gatewright.nn``.
        path: the file to write; its folder is made if missing.
        example_input: float32, (N, ...) with any N; gives the static dimensions.

    Returns:
        The model as written.

    Raises:
        ConfigError: ``path`` cannot be written.
        DataError: ``example_input`` is not a float32 tensor with a batch of samples, or does not run in the model.
        ModelError: a layer with float weights, or a quantiser without a scale; the message names it.
    """
    if example_input.dtype != torch.float32 or example_input.dim() < 2 or not len(example_input):
        raise DataError(
            f"example_input has dtype {example_input.dtype!r} and shape {tuple(example_input.shape)!r}: "
            "give a float32 tensor of shape (batch, ...)"
        )
    _refuse_float_layers(model)
    evaluated, example_input = copy.deepcopy(model).eval().cpu(), example_input.cpu()
    _try_example(evaluated, example_input)
    proto = _to_onnx(freeze(evaluated), example_input)
    _name_after_modules(proto)
    _check_input_types(proto, model)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        onnx.save(proto, str(path))
    except OSError as error:
        raise ConfigError(
            f"cannot write {str(path)!r}: {error.strerror or error}: give the path of a file that can be written"
        ) from error
    return proto


@torch.no_grad()
def _try_example(evaluated: nn.Module, example_input: Tensor) -> None:
    """Run the model itself, which says what is wrong in far fewer words than torch's exporter."""
    try:
        evaluated(example_input[:1])
    except GatewrightError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise DataError(
            f"example_input of shape {tuple(example_input.shape)!r} does not run in {type(evaluated).__name__}: "
            f"{_first_line(error)}: give a batch of the shape that the model takes as its only input"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _to_onnx(frozen: nn.Module, example_input: Tensor) -> onnx.ModelProto:
    # Two samples: torch specialises a dynamic dimension of one.
    example = torch.cat([example_input[:1]] * 2)
    with _quiet_exporter():
        try:
            program = torch.onnx.export(
                frozen,
                (example,),
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            # The exporter's own text is about itself; the cause is about the model.
            raise ModelError(
                f"torch cannot export {type(frozen).__name__}: {_first_line(error.__cause__ or error)}: use layers "
                "and operations of fixed shapes, without branches on values"
            ) from error
    return cast(torch.onnx.ONNXProgram, program).model_proto


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep torch's notes about itself (missing torchvision, own deprecated calls, tracebacks) from the user."""
    # Each of torch's loggers has a handler of its own, and more of them come with the exporter's imports.
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"copyreg|torch\\.")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"copyreg|torch\\.|onnx")
            yield
    finally:
        logging.disable(disabled)


def _refuse_float_layers(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, QuantIdentity) and not bool(module.calibrated):
            raise ModelError(
                f"{name}: {type(module).__name__} has no scale yet: run gatewright.train.calibrate(model, inputs) first"
            )
        if isinstance(module, (QuantWeightMixin, QuantIdentity, *EXPORTED_AS_THEY_ARE)):
            continue
        if not any(True for _ in module.parameters(recurse=False)) or name.endswith("weight_quantizer"):
            continue
        remedy = next((new for old, new in REPLACEMENTS.items() if isinstance(module, old)), None)
        raise ModelError(
            f"{name or 'the model'}: {type(module).__name__} has float weights: "
            + (f"use {remedy}" if remedy else f"quantised layers are {', '.join(REPLACEMENTS.values())}")
        )


def _name_after_modules(proto: onnx.ModelProto) -> None:
    """Name nodes and tensors after the modules they come from; keep the source line, drop torch's metadata."""
    renamed: dict[str, str] = {}
    used: dict[str, int] = {}
    for node in proto.graph.node:
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        del node.metadata_props[:]
        if line := _source_line(metadata.get("pkg.torch.onnx.stack_trace", "")):
            node.metadata_props.add(key=SOURCE, value=line)
        scopes = ast.literal_eval(metadata.get("pkg.torch.onnx.name_scopes", "['', '']"))
        base = ".".join([scope for scope in scopes[-2:-1] if scope] + [node.op_type])
        used[base] = used.get(base, 0) + 1
        node.name = base if used[base] == 1 else f"{base}_{used[base]}"
        outputs = {value.name for value in proto.graph.output}
        renamed.update({out: node.name for out in node.output if out not in outputs})
    for node in proto.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    del proto.graph.metadata_props[:], proto.metadata_props[:]
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        value.name = renamed.get(value.name, value.name)
        del value.metadata_props[:]


def _source_line(stack_trace: str) -> str:
    """'file.py:56: code' of the innermost call in the user's program, the file named from its project's folder.

    Empty for a model of library modules alone, such as a Sequential: lines of a library tell its user nothing.
    """
    calls = re.findall(r'File "([^"]+)", line (\d+), in .*\n\s*(.*)', stack_trace)
    own = [call for call in calls if not any(Path(call[0]).is_relative_to(folder) for folder in LIBRARIES)]
    if not own:
        return ""
    file, line, code = own[-1]
    return f"{shortened(file)}:{line}: {code.strip()}"


def _check_input_types(proto: onnx.ModelProto, model: nn.Module) -> None:
    """Refuse a layer whose ``input_bits`` and ``input_signed`` are not those of the quantiser before it."""
    producer = {name: node for node in proto.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for name, layer in model.named_modules():
        if not isinstance(layer, QuantWeightMixin):
            continue
        for node in proto.graph.node:
            if node.name.rpartition(".")[0] != name or node.op_type not in ("Conv", "Gemm", "MatMul"):
                continue
            for source in _sources(node.input[0], producer):
                if source == proto.graph.input[0].name:
                    raise ModelError(f"{name}: its input is not quantised: put a gatewright.nn.QuantIdentity before it")
                _check_input_type(name, layer, producer.get(source), constants)


def _sources(tensor: str, producer: dict[str, onnx.NodeProto]) -> Iterator[str]:
    """The tensors whose values arrive in ``tensor`` as they are."""
    node = producer.get(tensor)
    if node is None or node.op_type not in TYPE_KEEPING:
        yield tensor
        return
    for operand in node.input if node.op_type == "Concat" else node.input[:1]:
        yield from _sources(operand, producer)


def _check_input_type(
    name: str, layer: QuantWeightMixin, quant: onnx.NodeProto | None, constants: dict[str, onnx.TensorProto]
) -> None:
    if quant is None or quant.op_type not in ("Quant", "BipolarQuant"):
        return
    if quant.op_type == "BipolarQuant":
        bits, signed = 1, True
    else:
        bits = int(onnx.numpy_helper.to_array(constants[quant.input[3]]).item())
        signed = next(bool(attribute.i) for attribute in quant.attribute if attribute.name == "signed")
    if (bits, signed) != (layer.input_bits, layer.input_signed):
        raise ModelError(
            f"{name}: input_bits={layer.input_bits!r}, input_signed={layer.input_signed!r}, but {quant.name} before "
            f"it gives input_bits={bits!r}, input_signed={signed!r}: make them equal, else no accumulator is bounded"
        )
