# SPDX-License-Identifier: Apache-2.0
"""`gatewright bundle` and `gatewright deploy`: a build as one folder, and that folder on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewright.cli.app import Json, app, error_console, output_console, print_json
from gatewright.progress import bars

if TYPE_CHECKING:
    from gatewright.board.bundle import BundleFiles


@app.command()
def bundle(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder that `compile` wrote.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="What to write; DIR/bundle or DIR/bundle.tar.gz by default.")
    ] = None,
    tar: Annotated[bool, typer.Option("--tar", help="Write one .tar.gz instead of a folder.")] = False,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Golden frames to carry; all up to 1,000 by default.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Golden inputs: .npy, or .npz by input name.")
    ] = None,
    virtual: Annotated[
        bool, typer.Option("--virtual", help="Take a virtual bitstream, also where a real one was made.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put all that a board needs into one self-contained folder: bitstream, driver, golden frames."""
    from gatewright.board.bundle import bundle as make

    with bars(error_console()) as progress:
        made = make(directory, data=data, frames=frames, virtual=virtual, progress=progress)
        target = output or directory / ("bundle.tar.gz" if tar else "bundle")
        made.archive(target) if tar else made.write(target)
    if as_json:
        print_json({"path": str(target), "golden_frames": made.frames, **made.record})
        return
    told(made, target, None if virtual else unused(directory))


def unused(directory: Path) -> str | None:
    """Why the last result of `gatewright bitstream` is not in a bundle; None where there is none, or it is."""
    from gatewright.build import Build
    from gatewright.synth.bitstream import load

    found = load(Build.open(directory))
    if found is None or (found[1] and found[0]["status"] == "ok"):
        return None
    what = "is of another state of the build" if not found[1] else "failed"
    return f"the last bitstream {what}: gatewright bitstream {directory} makes one"


def told(made: BundleFiles, target: Path, why: str | None = None) -> None:
    """Say what was written, and what its bitstream is.

    Args:
        why: it is not the real one that was made.
    """
    console, record, tar = output_console(), made.record, target.is_file()
    size = target.stat().st_size if tar else sum(map(len, made.files.values()))
    console.print(
        f"{target}: {record['name']} for {record['title']}, {made.frames:,} golden frames, "
        f"{len(made.files)} files, {size / 1e6:,.1f} MB",
        soft_wrap=True, markup=False,
    )  # fmt: skip
    bitstream = record["bitstream"]
    if bitstream is None:
        console.print(f"no bitstream: {record['title']} takes an .xclbin, which only Vitis can link", soft_wrap=True)
    elif bitstream["kind"] == "virtual":
        console.print("its bitstream is a virtual one: gatewright board serve simulates the board", soft_wrap=True)
    else:
        made_by = f"{bitstream['tool']} {bitstream['version']}"
        console.print(f"its bitstream is {bitstream['file']} of {made_by}, at {record['mhz']:g} MHz", soft_wrap=True)
    if why is not None:
        console.print(why, soft_wrap=True, markup=False)


@app.command()
def deploy(
    source: Annotated[Path, typer.Argument(metavar="BUNDLE", exists=True, help="A bundle: its folder or .tar.gz.")],
    host: Annotated[str, typer.Argument(metavar="USER@BOARD", help="Whom to copy it to, as ssh takes it.")],
    port: Annotated[int | None, typer.Option(help="Port of ssh on the board.")] = None,
    identity: Annotated[Path | None, typer.Option(help="Private key for ssh.")] = None,
    ssh_config: Annotated[Path | None, typer.Option(help="Configuration of ssh instead of your own.")] = None,
    path: Annotated[str | None, typer.Option(help="Folder on the board; gatewright/NAME by default.")] = None,
    python: Annotated[str, typer.Option(help="Python on the board.")] = "python3",
    sudo: Annotated[bool, typer.Option("--sudo", help="Run it as root by way of sudo.")] = False,
    device: Annotated[
        str | None, typer.Option(metavar="HOST[:PORT]", help="Run it against this device instead of the board's FPGA.")
    ] = None,
    verify: Annotated[bool, typer.Option(help="Run `run.py verify` on the board.")] = True,
) -> None:
    """Copy a bundle to a board over ssh, and verify it there; exits with 1 where an integer differs."""
    from gatewright.board.deploy import install, run_verify
    from gatewright.ssh import Remote

    remote = Remote(host, port, identity, ssh_config)
    with bars(error_console()) as progress:
        place = install(
            source, remote, path=path, python=python, sudo=sudo, device=device, verify=verify, progress=progress
        )
    output_console().print(f"copied to {host}:{place.path}", markup=False, soft_wrap=True)
    if verify and not run_verify(remote, place):
        raise typer.Exit(1)
