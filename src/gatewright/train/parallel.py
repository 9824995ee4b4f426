# SPDX-License-Identifier: Apache-2.0
"""Data parallelism with torchrun: which process this is, and what the processes tell each other."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from gatewright.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train one model.

    Attributes:
        rank: its number, from 0.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def writes(self) -> bool:
        """Whether it is the one process that writes files and speaks to the user."""
        return self.rank == 0

    def sum(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The values, each summed over all ranks."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def gather(self, value: object) -> list[Any]:
        """Every rank's value, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with gradients averaged over the ranks; its state is that of rank 0."""
        if self.world == 1:
            return model
        device = next(model.parameters()).device
        return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)

    def copy_buffers(self, model: nn.Module) -> None:
        """Give every rank the statistics of the first one, which trained on its own part of each batch."""
        if self.world > 1:
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    distributed.broadcast(buffer, 0)

    def share(self, order: Tensor, batch: int) -> list[Tensor]:
        """This rank's part of every batch; the order repeats its first samples until all parts are equally long."""
        if missing := -len(order) % self.world:
            order = torch.cat([order, order.repeat(-(-missing // len(order)))[:missing]])
        return [whole[self.rank :: self.world] for whole in torch.split(order, batch)]


ALONE = Ranks()


def choose_device(wanted: str) -> torch.device:
    """The device of that name; ``auto`` takes a GPU where there is one, each local rank its own.

    Raises:
        ConfigError: an unknown name, or ``cuda`` without a GPU.
    """
    if wanted not in DEVICES:
        raise ConfigError(f"device={wanted!r} is unknown: use one of {', '.join(DEVICES)}")
    if wanted == "cpu" or not torch.cuda.is_available():
        if wanted == "cuda":
            raise ConfigError("device='cuda': torch sees no GPU here: use --device cpu, or a torch built for CUDA")
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


@contextmanager
def process_group(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it started this one (nccl on GPUs, gloo on CPUs)."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        with warnings.catch_warnings():
            # Weights of one input channel have two layouts that are the same memory.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
            yield Ranks(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()
