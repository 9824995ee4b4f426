# SPDX-License-Identifier: Apache-2.0
"""Small float networks that between them use most of what can be quantised."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """One ReLU for every call, dropout, arithmetic on the input, functions in place of modules, a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.conv3 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 1)
        self.relu, self.dropout, self.fc = nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(F.max_pool2d(self.bn(self.conv1((x - 0.5) / 0.25)), 2))
        x = self.relu(x + self.relu(self.conv2(x)))
        x = self.relu(self.conv3(x))
        return torch.softmax(self.fc(self.dropout(x).view(x.size(0), -1)), 1)


class Joined(nn.Module):
    """ReLU6, concatenation, upsampling, one-sided padding, a pooled mean."""

    def __init__(self) -> None:
        super().__init__()
        self.pad, self.conv = nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, stride=2)
        self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.six, self.up = nn.ReLU6(), nn.Upsample(scale_factor=2)
        self.head, self.fc = nn.Conv2d(8, 6, 3), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.six(self.conv(self.pad(x)))
        x = self.up(torch.cat([self.left(x), F.relu(self.right(x))], dim=1))
        return self.fc(self.head(x).relu().mean((2, 3)))


def sequence() -> nn.Module:
    """One axis: convolutions, a max pool in front of the ReLU, an average."""
    return nn.Sequential(
        nn.Conv1d(2, 6, 5, padding=2), nn.BatchNorm1d(6), nn.MaxPool1d(2), nn.ReLU(), nn.Conv1d(6, 6, 3), nn.Hardtanh(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


KINDS: dict[str, Callable[[], nn.Module]] = {"residual": Residual, "joined": Joined, "sequence": sequence}


def made(kind: str) -> tuple[nn.Module, torch.Tensor]:
    """A float network with running statistics, and inputs of it."""
    torch.manual_seed(3)
    model = KINDS[kind]()
    x = torch.rand(16, 2, 24) if kind == "sequence" else torch.rand(16, 3, 8, 8)
    with torch.no_grad():
        model(x)
    return model.eval(), x
