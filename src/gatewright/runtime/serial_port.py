# SPDX-License-Identifier: Apache-2.0
"""A serial port of this machine: which one, opening it, and bytes; pyserial is imported when one is needed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Any

from .errors import ConfigError, DeviceError

PREFIX = "serial:"
"""Of a port in `device`, where it could be taken for a host."""
FTDI = 0x0403
"""USB vendor of the serial port of most FPGA boards, the ULX3S among them."""
WRITE_SECONDS = 30.0
"""A line that takes nothing for so long is stuck."""
_POLL_SECONDS = 0.02


class PortLost(Exception):
    """The port went away under a read or write: unplugged, or the program behind a pseudo-terminal ended."""


class Port:
    """An open port. Only one program has it at a time.

    Args:
        name: path, or name on Windows.
        baud: 8 data bits, no parity, one stop bit.

    Raises:
        DeviceError: no pyserial, no such port, or no way at it; says what to do.
    """

    def __init__(self, name: str, baud: int) -> None:
        self._serial = import_pyserial()
        self.name = name
        try:
            self._port = self._serial.Serial(
                name, baud, timeout=_POLL_SECONDS, write_timeout=WRITE_SECONDS, exclusive=True
            )
        except (OSError, ValueError) as error:  # pyserial's own error is an OSError
            raise DeviceError(_refusal(name, baud, error)) from error
        with suppress(AttributeError, OSError, ValueError):
            # An FTDI chip holds back what it has received for 16 ms unless it is told not to.
            self._port.set_low_latency_mode(True)

    @property
    def simulated(self) -> bool:
        """Whether it is a pseudo-terminal: a program is behind it, which takes the time that it takes."""
        return os.path.realpath(self.name).startswith("/dev/pts/")

    def read(self, most: int) -> bytes:
        """What has come, at most so many bytes; waits a moment for them.

        Raises:
            PortLost: it is gone.
        """
        try:
            return bytes(self._port.read(max(most, 1)))
        except (OSError, TypeError) as error:  # TypeError: it was closed by another thread
            raise PortLost(str(error)) from error

    def write(self, data: bytes) -> None:
        """All of it.

        Raises:
            PortLost: it is gone, or takes nothing.
        """
        try:
            self._port.write(data)
        except (OSError, TypeError) as error:
            raise PortLost(str(error)) from error

    def discard(self) -> None:
        """Forget what has come and was not read."""
        with suppress(OSError, TypeError):
            self._port.reset_input_buffer()

    def close(self) -> None:
        """Let go of it; never fails."""
        with suppress(OSError, TypeError):
            self._port.close()


def import_pyserial() -> Any:
    """pyserial.

    Raises:
        DeviceError: it is not installed, or another package of that name is.
    """
    try:
        import serial
    except ImportError as error:
        raise DeviceError(
            f"pyserial is missing, which reaches a board on a serial port ({error}): pip install pyserial"
        ) from error
    if not hasattr(serial, "Serial"):
        raise DeviceError(
            f"the package `serial` at {getattr(serial, '__file__', '?')} is not pyserial: pip uninstall serial, then "
            "pip install pyserial"
        )
    return serial


def port_name(where: object) -> str:
    """The port that a device names; of None the only one there is with FTDI's vendor number.

    Raises:
        ConfigError: no name of a port.
        DeviceError: none was named, and there is not just one to choose.
    """
    if where is None:
        return _only_port()
    name = where[where.startswith(PREFIX) and len(PREFIX) :] if isinstance(where, str) else ""
    if not name:
        raise ConfigError(f"device={where!r}: give a serial port, such as /dev/ttyUSB0 or COM3")
    return name


def _only_port() -> str:
    import_pyserial()
    from serial.tools import list_ports

    ports = sorted(list_ports.comports(), key=lambda port: str(port.device))
    found = [str(port.device) for port in ports if port.vid == FTDI]
    if len(found) == 1:
        return found[0]
    if found:
        raise DeviceError(
            f"several ports have FTDI's vendor number {FTDI:04x}: {', '.join(found)}: name one with device="
        )
    there = ", ".join(f"{port.device} ({port.description})" for port in ports) or "none at all"
    raise DeviceError(
        f"no serial port with FTDI's vendor number {FTDI:04x} is there (found: {there}): plug the board in, or name "
        "its port with device=; for a simulated one, `gatewright board serve BUNDLE` says its name"
    )


def _refusal(name: str, baud: int, error: Exception) -> str:
    """Why a port cannot be opened, and the remedy."""
    number, text = getattr(error, "errno", None), str(error)
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or "FileNotFoundError" in text:
        return (
            f"there is no serial port {name}: plug the board in, and look for its name in `python -m serial.tools."
            "list_ports`; for a simulated one, start `gatewright board serve BUNDLE`"
        )
    if number in (errno.EACCES, errno.EPERM) or "PermissionError" in text:
        return (
            f"no permission for {name}: become a member of its group (on Debian `sudo usermod -aG dialout $USER`, then "
            "log in again); on Windows another program has it open"
        )
    if number in (errno.EAGAIN, errno.EBUSY, errno.EWOULDBLOCK):
        return f"{name} is busy: another program has it open (a terminal, another driver): end that one first"
    if isinstance(error, ValueError):
        return f"{name} does not take {baud} baud ({text}): use a port that does"
    return f"{name} cannot be opened ({text}): is it a serial port?"
