# SPDX-License-Identifier: Apache-2.0
"""Every error that a user can meet, as one tree.

    GatewrightError
    ├── ConfigError        a setting, option, board, folding or configuration file
    │   └── MissingTargetError a build was not compiled for a target
    ├── DataError          an array of the wrong shape, type or range; a file that is not an array
    ├── ModelError         a model that cannot be read or exported
    │   └── UnsupportedError   a node of the model that has no hardware here; carries the node's name
    ├── ProofError         a width or rounding that cannot be proven
    ├── DesignError        a design that does not fit the board, or misses the frame rate
    ├── ToolError          an external tool that failed, or rejects what it was given
    │   └── MissingToolError   an external tool that is not there
    ├── SimulationError    a simulation that stalled or broke off
    └── AcceleratorError   whatever an accelerator on a board meets

The base, and what a board can meet, lie in `gatewright.runtime.errors`, which draws that branch: a bundle carries that
package alone.
A message says what was wrong, the value, where, and what to do about it.
"""

from __future__ import annotations

from gatewright.runtime.errors import (
    AcceleratorError,
    BundleError,
    BusError,
    ClosedError,
    ConfigError,
    DataError,
    DeviceError,
    DeviceMemoryError,
    GatewrightError,
    HashError,
    RunTimeout,
)

__all__ = [
    "AcceleratorError",
    "BundleError",
    "BusError",
    "ClosedError",
    "ConfigError",
    "DataError",
    "DesignError",
    "DeviceError",
    "DeviceMemoryError",
    "GatewrightError",
    "HashError",
    "MissingTargetError",
    "MissingToolError",
    "ModelError",
    "ProofError",
    "RunTimeout",
    "SimulationError",
    "ToolError",
    "UnsupportedError",
]


class MissingTargetError(ConfigError):
    """A build was not compiled for a target: what needs it was not run."""


class ModelError(GatewrightError, ValueError):
    """A model cannot be read or exported."""


class UnsupportedError(ModelError):
    """A node of a model has no hardware here.

    Args:
        node: name of the ONNX node.
        reason: what about it is not supported, and the remedy.
    """

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node
        self.reason = reason


class ProofError(GatewrightError):
    """A width or a rounding cannot be proven equal to its definition."""


class DesignError(GatewrightError):
    """A design does not fit the board or misses the frame rate."""


class ToolError(GatewrightError):
    """An external tool failed, or rejects what it was given."""


class MissingToolError(ToolError):
    """An external tool is not there: what needs it was not run."""


class SimulationError(GatewrightError):
    """A simulation stalled or broke off before all outputs arrived."""
