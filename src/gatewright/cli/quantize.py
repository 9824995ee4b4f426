# SPDX-License-Identifier: Apache-2.0
"""From a float model to a QONNX file without training."""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gatewright.cli.app import Json, app, error_console, number, output_console, print_json
from gatewright.errors import ConfigError, DataError, ModelError
from gatewright.progress import Progress, bars

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from gatewright.nn.quantize_config import QuantizeConfig
    from gatewright.train.ptq import PtqConfig


@app.command()
def quantize(
    model: Annotated[str, typer.Argument(metavar="FLOAT.onnx|MODULE:FUNCTION", help="Float ONNX model, or a function "
                                         "without arguments that returns a torch module.")],
    data: Annotated[Path, typer.Option(help="Inputs to calibrate on, samples first, .npy.")],
    labels: Annotated[Path | None, typer.Option(help="Their classes, .npy: measures the accuracy.")] = None,
    weight_bits: Annotated[int | None, typer.Option(help="Of weights; 8 by default.")] = None,
    activation_bits: Annotated[int | None, typer.Option(help="Of activations; 8 by default.")] = None,
    input_bits: Annotated[int | None, typer.Option(help="Of the network's input; 8 by default.")] = None,
    accumulator_bits: Annotated[int | None, typer.Option(help="Of accumulators; as wide as needed by default.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file: all settings, also per layer.")] = None,
    ranges: Annotated[str, typer.Option(help="Of activations: mse, percentile or max.")] = "mse",
    samples: Annotated[int, typer.Option(help="Calibrate on the first N inputs.")] = 256,
    bias_correction: Annotated[bool, typer.Option(help="Take mean errors off the biases.")] = True,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write; MODEL_quantized.onnx by default.")
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Quantise a trained float model for hardware, without training, by some of its inputs."""
    from gatewright.nn.quantize_config import QuantizeConfig
    from gatewright.train.ptq import PtqConfig

    given = {
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "input_bits": input_bits,
        "accumulator_bits": accumulator_bits,
    }
    widths = QuantizeConfig() if config is None else QuantizeConfig.from_toml(config)
    widths = replace(widths, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    settings = PtqConfig(ranges=ranges, bias_correction=bias_correction, samples=samples)
    target = output or Path(f"{_stem(model)}_quantized.onnx")
    if target.resolve() == Path(model).resolve():
        raise ConfigError(f"output={str(target)!r} is the float model itself: give another file")
    with bars(error_console()) as progress:
        result = _quantize(model, data, labels, widths, settings, target, progress)
    if as_json:
        print_json(result)
    else:
        _print_result(result)


def _quantize(
    source: str,
    data: Path,
    labels: Path | None,
    config: QuantizeConfig,
    settings: PtqConfig,
    target: Path,
    progress: Progress,
) -> dict[str, Any]:
    from gatewright.build import load_array
    from gatewright.frontend.float_import import import_float
    from gatewright.train.ptq import post_training_quantize

    progress("reading")
    x = load_array(data)
    model: nn.Module
    if source.endswith(".onnx"):
        read = import_float(source)
        x, model, notes = read.arrange(_samples(x, data, read.shape)), read.module, read.notes
    else:
        x, model, notes = _samples(x, data, None), _imported(source).eval(), ()
    y = None if labels is None else _labels(load_array(labels), labels, len(x))
    done = post_training_quantize(model, x, config, settings, progress)
    result = {"model": str(target), **done.report.to_json(), "accuracy": None}
    result["notes"] = [*notes, *result["notes"]]
    if y is not None:
        progress("measuring accuracy")
        used = done.report.samples if done.report.samples < len(x) else 0
        result["accuracy"] = {
            "float": _accuracy(model, x[used:], y[used:]),
            "quantized": _accuracy(done.model, x[used:], y[used:]),
            "samples": len(x) - used,
            "calibrated_on_them": not used,
        }
    progress("writing")
    _write(done.model, target, x)
    return result


def _stem(model: str) -> str:
    return Path(model).stem if model.endswith(".onnx") else model.rpartition(":")[2]


def _imported(source: str) -> nn.Module:
    from torch import nn

    module_name, _, function_name = source.rpartition(":")
    if not module_name or not function_name:
        raise ConfigError(f"model {source!r} is neither an .onnx file nor MODULE:FUNCTION, such as models.net:trained")
    sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"model {source!r}: {error}: give a module that python can import from this folder, and a function in it"
        ) from error
    finally:
        sys.path.pop(0)
    made: object = function() if callable(function) else function
    if not isinstance(made, nn.Module):
        raise ModelError(f"{source} returned a {type(made).__name__}: return the trained torch.nn.Module")
    return made


def _samples(x: Any, path: Path, shape: tuple[int, ...] | None) -> NDArray[Any]:
    import numpy as np

    if not isinstance(x, np.ndarray):
        raise DataError(f"{path} holds several arrays: save one with numpy.save")
    if x.dtype not in (np.float32, np.float64, np.uint8, np.int8):
        raise DataError(f"{path} holds {x.dtype}: save float32, float64, uint8 or int8")
    if x.ndim < 2 or not len(x) or (shape is not None and x.shape[1:] != shape):
        wanted = "(samples, ...)" if shape is None else f"(samples, {', '.join(map(str, shape))})"
        raise DataError(f"{path} has shape {x.shape!r}, but the model takes {wanted}: bring the data into that shape")
    return x


def _labels(y: Any, path: Path, count: int) -> NDArray[Any]:
    import numpy as np

    if not isinstance(y, np.ndarray) or not np.issubdtype(y.dtype, np.integer) or y.shape != (count,):
        found = f"{y.dtype} of shape {y.shape!r}" if isinstance(y, np.ndarray) else "several arrays"
        raise DataError(f"{path} holds {found}: save one integer class for each of the {count} samples")
    return y


def _write(model: nn.Module, target: Path, x: NDArray[Any]) -> None:
    """Export, and check that the compiler takes what came out before it goes to its place."""
    import numpy as np
    import torch

    from gatewright.frontend.export import export
    from gatewright.frontend.importer import import_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / target.name
        export(model, path, torch.from_numpy(np.array(x[:1], np.float32)))
        import_model(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        except OSError as error:
            raise ConfigError(f"cannot write {str(target)!r}: {error.strerror or error}: give another file") from error


def _accuracy(model: nn.Module, x: NDArray[Any], y: NDArray[np.int64]) -> float:
    import numpy as np

    from gatewright.train import predict

    scores = predict(model, x.astype(np.float32))
    if scores.ndim != 2 or y.min() < 0 or y.max() >= scores.shape[1]:
        raise DataError(
            f"the model gives {scores.shape!r} and the labels go from {int(y.min())} to {int(y.max())}: give a "
            "classifier with a score for every label, or leave out --labels"
        )
    return float((scores.argmax(1) == y).mean())


def _print_result(result: dict[str, Any]) -> None:
    layers = Table("layer")
    for column in ("weights", "input", "accumulator", "SQNR", "after correction"):
        layers.add_column(column, justify="right")
    for row in result["layers"]:
        layers.add_row(
            row["name"],
            f"{row['weight_bits']} bits",
            f"{row['input_bits']} bits{' signed' if row['input_signed'] else ''}",
            f"{row['accumulator_bits']} bits",
            f"{number(row['sqnr_before'], '.1f')} dB",
            f"{number(row['sqnr_after'], '.1f')} dB",
        )
    console = output_console()
    console.print(layers)
    for note in result["notes"]:
        console.print(note, soft_wrap=True, markup=False)
    if (accuracy := result["accuracy"]) is not None:
        which = "the calibration samples themselves" if accuracy["calibrated_on_them"] else "samples not calibrated on"
        console.print(
            f"accuracy: float {accuracy['float']:.2%}, quantised {accuracy['quantized']:.2%} "
            f"({accuracy['samples']:,} {which})"
        )
    sqnr = number(result["output_sqnr_after"], ".1f")
    console.print(f"output: SQNR {sqnr} dB over {result['samples']} samples", highlight=False)
    console.print(f"{result['model']}: compile it with gatewright compile", soft_wrap=True, markup=False)
