# SPDX-License-Identifier: Apache-2.0
"""The tensors of an ONNX model, executed by tools that are not ours: qonnx, or onnxruntime for standard operators."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from gatewright.errors import DataError, MissingToolError, ToolError

Reals = npt.NDArray[Any]


def execute(model: onnx.ModelProto, inputs: Sequence[Reals]) -> Mapping[str, Reals]:
    """Every tensor of a model that depends on its inputs by name, for frames (frames, ...) per input.

    Raises:
        MissingToolError: what executes it is not installed.
        ToolError: it cannot execute the model.
    """
    constants = {i.name for i in model.graph.initializer}
    names = [i.name for i in model.graph.input if i.name not in constants]
    if len(names) != len(inputs):
        raise DataError(f"{len(inputs)} arrays for the {len(names)} inputs {names} of the model")
    standard = all(n.domain in ("", "ai.onnx", "com.microsoft") for n in model.graph.node)
    run = _onnxruntime if standard else _qonnx
    size, frames = _batch(model, names[0]), len(inputs[0])
    parts: dict[str, list[Reals]] = {}
    for start in range(0, frames, size or frames):
        feed = {n: _padded(x[start : start + (size or frames)], size) for n, x in zip(names, inputs, strict=True)}
        for name, value in _guarded(run, model, feed).items():
            parts.setdefault(name, []).append(value)
    whole = {n: p[0] if len(p) == 1 else np.concatenate([np.atleast_1d(v) for v in p]) for n, p in parts.items()}
    return {n: v[:frames] if np.ndim(v) and n not in constants else v for n, v in whole.items()}


def _batch(model: onnx.ModelProto, name: str) -> int:
    """The fixed batch of the model, 0 where any will do."""
    info = next(i for i in model.graph.input if i.name == name)
    return int(info.type.tensor_type.shape.dim[0].dim_value)


def _padded(x: Reals, size: int) -> Reals:
    """Frames as float32, the last one repeated up to the batch."""
    missing = max(0, size - len(x))
    whole: Reals = np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]).astype(np.float32)
    return whole


def _guarded(run: Any, model: onnx.ModelProto, feed: Mapping[str, Reals]) -> Mapping[str, Reals]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's deprecated calls
            return run(model, feed)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingToolError(
            f"executing the model needs {error.name or error}: pip install 'gatewright[dev]', or qonnx and onnxruntime"
        ) from error
    except Exception as error:  # other people's tools raise many types
        first = str(error).strip().split("\n")[0][:200]
        raise ToolError(
            f"{run.__name__.strip('_')} cannot execute the model ({type(error).__name__}: {first})"
        ) from error


def _onnxruntime(model: onnx.ModelProto, feed: Mapping[str, Reals]) -> Mapping[str, Reals]:
    import onnxruntime

    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    given = {o.name for o in whole.graph.output}
    whole.graph.output.extend(
        onnx.ValueInfoProto(name=name) for n in whole.graph.node for name in n.output if name and name not in given
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # initialisers among the inputs: a warning each, and nothing to warn of
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


def _qonnx(model: onnx.ModelProto, feed: Mapping[str, Reals]) -> Mapping[str, Reals]:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for info in fixed.graph.input:
        if info.name in feed:  # qonnx executes static shapes only
            info.type.tensor_type.shape.dim[0].dim_value = len(feed[info.name])
    for info in fixed.graph.output:
        info.type.tensor_type.ClearField("shape")
    del fixed.graph.value_info[:]
    wrapper = ModelWrapper(fixed).transform(InferShapes())
    context: Mapping[str, Reals] = execute_onnx(wrapper, dict(feed), return_full_exec_context=True)
    return context
