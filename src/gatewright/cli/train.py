# SPDX-License-Identifier: Apache-2.0
"""Training: recipes, and the data sets that they need."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gatewright.cli.app import Json, app, error_console, number, output_console, print_json
from gatewright.progress import Progress, bars, silent

if TYPE_CHECKING:
    from gatewright.train.recipe import Recipe
    from gatewright.train.run import Trained


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="TOML file, or the name of a recipe that comes along.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder to write; build/train/RECIPE by default.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the quantised network, not the recipe's.")] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")] = "auto",
    as_json: Json = False,
) -> None:
    """Train a recipe's networks and write the model to compile, with test images and checkpoints beside it."""
    from gatewright.train.recipe import load_recipe
    from gatewright.train.run import train_recipe

    content = load_recipe(recipe)
    if epochs is not None:
        content = replace(content, train=replace(content.train, epochs=epochs))
    folder = output or Path("build/train") / Path(recipe).stem
    with bars(error_console()) as shown:
        progress = shown if _is_first() else silent
        trained = train_recipe(content, folder, resume=resume, device=device, progress=progress)
        if not trained.writes:
            return
        result = _write_result(trained, content, folder, progress)
    if as_json:
        print_json(result)
    else:
        _print_result(result)


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The data set to fetch.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch a data set into the cache, without root; without a name, list the data sets."""
    from gatewright.data import data_sets, fetch_data

    if name is None:
        rows: Any = list(data_sets())
    else:
        folder = fetch_data(name)
        rows = {"name": name, "folder": None if folder is None else str(folder)}
    if as_json:
        print_json(rows)
    elif name is None:
        output_console().print("\n".join(rows))
    else:
        place = rows["folder"] or "part of an installed package, nothing to fetch"
        output_console().print(f"{name}: {place}", soft_wrap=True, markup=False)


def _is_first() -> bool:
    """Whether this process speaks to the user: under torchrun, one of several."""
    return os.environ.get("RANK", "0") == "0"


def _write_result(trained: Trained, recipe: Recipe, folder: Path, progress: Progress) -> dict[str, Any]:
    """The model, some test images with labels and both networks' outputs, and what was reached."""
    import torch

    from gatewright.build import store_data
    from gatewright.frontend.export import export
    from gatewright.train import predict

    progress("export")
    samples = trained.test[: recipe.export.samples]
    model = folder / "model.onnx"
    quant = trained.quant_model.cpu()
    export(quant, model, torch.from_numpy(samples.x[:1]).float())
    outputs = {"qat": predict(quant, samples.x)}
    stale = folder / "data" / "float.npy"
    if trained.float_model is None:
        stale.unlink(missing_ok=True)
    else:
        outputs["float"] = predict(trained.float_model.cpu(), samples.x)
    store_data(folder / "data", inputs=samples.x, labels=samples.y, **outputs)
    result = {
        "model": str(model),
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "test_images": len(trained.test),
        "float_accuracy": trained.float_accuracy,
        "quant_accuracy": trained.quant_accuracy,
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def _print_result(result: dict[str, Any]) -> None:
    table = Table("network", "accuracy on the test images", "epoch")
    if result["float_accuracy"] is not None:
        table.add_row("float", number(result["float_accuracy"], ".2%"), "")
    best = f"{result['best_epoch']} of {result['epochs']}"
    table.add_row("quantised", number(result["quant_accuracy"], ".2%"), best)
    console = output_console()
    console.print(table)
    console.print(f"gatewright compile {result['model']} --board BOARD", soft_wrap=True, markup=False)
