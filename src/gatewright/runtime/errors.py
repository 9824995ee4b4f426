# SPDX-License-Identifier: Apache-2.0
"""The errors that a board can meet; `gatewright.errors` draws the rest of the tree.

GatewrightError
├── ConfigError         a setting or option
├── DataError           an array of the wrong shape, type or range
└── AcceleratorError    whatever an accelerator on a board meets; unless its text says more, the next run works
    ├── BundleError         a bundle that is damaged, incomplete or of another format
    ├── HashError           the device holds another design than the bundle's
    ├── RunTimeout          a run that did not end in time; carries the register state
    ├── BusError            memory answered a burst of the kernel with an error
    ├── DeviceMemoryError   the device has no memory left for the buffers
    ├── ClosedError         the accelerator was closed
    └── DeviceError         no device, no pynq, or a device that stopped answering
"""

from __future__ import annotations


class GatewrightError(Exception):
    """Base of all errors raised on purpose; the command line prints its text without a traceback."""


class ConfigError(GatewrightError, ValueError):
    """A setting, option, board, folding or configuration file is wrong."""


class DataError(GatewrightError, ValueError):
    """An input array or file has the wrong shape, type or range."""


class AcceleratorError(GatewrightError):
    """An accelerator on a board could not do what it was asked for."""


class BundleError(AcceleratorError):
    """A bundle is damaged, incomplete or of another format; the message names the file."""


class HashError(AcceleratorError):
    """The device holds another design than the bundle's, or none of ours."""


class RunTimeout(AcceleratorError, TimeoutError):
    """A run did not end in time. The kernel was aborted, so that the next run can start.

    Attributes:
        state: what the registers held, or None where they could not be read.
    """

    def __init__(self, message: str, state: object = None) -> None:
        super().__init__(message)
        self.state = state


class BusError(AcceleratorError):
    """Memory answered a burst of the kernel with an error; the results of that run are thrown away."""


class DeviceMemoryError(AcceleratorError, MemoryError):
    """The device has not enough memory for the buffers of a batch."""


class ClosedError(AcceleratorError):
    """The accelerator was closed, or its device went away."""


class DeviceError(AcceleratorError):
    """There is no device, no `pynq`, or the device stopped answering."""
