# SPDX-License-Identifier: Apache-2.0
"""The one place that talks to pynq: every call is timed, counted, and its failure told in our words."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, Mapping

import numpy as np

from .bundle import Bundle
from .errors import ConfigError, DeviceError, DeviceMemoryError, GatewrightError
from .kernel_map import Argument, KernelMap, Weights
from .packing import Bytes
from .transport import Room

PORT = 7967
"""Of PYNQ.remote, unless another one is named."""
PIECE_BYTES = 1 << 16
"""Less than that is not worth a piece of its own."""
_LOADS = 2
"""Attempts to load a bitstream before the last one; see `forget_state`."""
FASTER = 1.005
"""How many times as fast as it was timed for a clock may be: frequencies are told in rounded figures."""
_LOST = ("UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED")


class PynqBuffer:
    """A buffer of pynq's, as `transport.Buffer` has it; pynq moves it whole."""

    def __init__(self, device: Device, argument: Argument | Weights, frames: int) -> None:
        self._device = device
        what = f"allocating {frames * argument.frame_bytes:,} bytes for {argument.name!r}"
        self._raw = device.call(what, device.allocate, (frames, argument.frame_bytes), argument)
        self.array: Bytes = self._raw.view(np.ndarray)
        self.array[...] = 0
        self.address = int(device.call(f"asking where {argument.name!r} lies", lambda: self._raw.device_address))

    def flush(self, frames: int) -> None:
        """Host to device."""
        self._device.call("writing a buffer", self._raw.flush)

    def invalidate(self, frames: int) -> None:
        """Device to host."""
        self._device.call("reading a buffer", self._raw.invalidate)

    def free(self) -> None:
        """Give the memory back; the array must not be used any more."""
        raw, self._raw = self._raw, None
        self.array = np.zeros((0, 0), np.uint8)
        if raw is not None:
            self._device.call("freeing a buffer", raw.freebuffer)


class Device:
    """A device of pynq that a bundle's bitstream is loaded on; a `transport.Transport`.

    Args:
        bundle: what to load.
        where: None for the machine's own, "HOST" or "HOST:PORT" for PYNQ.remote, or a device of pynq.
        download: whether to load it, or to take what is there.

    Attributes:
        calls, seconds: of pynq so far.
        lost: the device went away.
        broken: the kernel hangs until its bitstream is loaded again.

    Raises:
        DeviceError: no pynq, no device, or one that refuses the bitstream.
    """

    def __init__(self, bundle: Bundle, where: object, download: bool) -> None:
        self.calls, self.seconds = 0, 0.0
        self.lost = self.broken = self.resettable = False
        self.label = where if isinstance(where, str) else "the device"
        self.reload = "load its bitstream (download=True)"
        self.remote = isinstance(where, str)
        self._bundle = bundle
        self._pynq = import_pynq()
        self._channel: Any = None
        self._device = self._connect(where)
        try:
            file = bundle.bitstream
            self._overlay = self.call(f"loading {file.name}", self._load, str(file), download)
            base, size = self._base_address(), bundle.kernel.control_bytes
            self._mmio = self.call("opening the registers", lambda: self._pynq.MMIO(base, size, device=self._device))
            self._check_clock()
        except BaseException:
            self.close()
            raise

    def _check_clock(self) -> None:
        """pynq takes the nearest clock that the board's PLL gives, which may be faster than timing allows.

        Raises:
            DeviceError: it is.
        """
        bitstream, mhz = self._bundle.record["bitstream"], self._bundle.mhz
        if bitstream.get("kind") != "bit":
            return
        found = float(self.call("asking for the kernel's clock", lambda: self._pynq.Clocks.fclk0_mhz))
        if found > FASTER * mhz:
            raise DeviceError(
                f"{self.label} gives the kernel a clock of {found:.1f} MHz, and its bitstream was timed for {mhz:.1f} "
                "MHz, so that results could be wrong: make one for a clock that the board's PLL gives, with "
                "gatewright bitstream --mhz"
            )

    def read(self, offset: int) -> int:
        """A register of 32 bits."""
        return int(self.call(f"reading register 0x{offset:x}", self._mmio.read, offset))

    def write(self, offset: int, value: int) -> None:
        """A register of 32 bits."""
        self.call(f"writing register 0x{offset:x}", self._mmio.write, offset, value)

    def snapshot(self, kernel: KernelMap) -> Callable[[int], int]:
        """Registers one by one: pynq reads one word a call over the network."""
        return self.read

    def room(self, kernel: KernelMap) -> Room:
        """Two sets of buffers for every size of batch; what memory holds shows when they are allocated."""
        return Room(2, None, PIECE_BYTES)

    def buffer(self, argument: Argument | Weights, frames: int) -> PynqBuffer:
        """Memory where the argument's port reaches it.

        Raises:
            DeviceMemoryError: there is no room.
        """
        return PynqBuffer(self, argument, frames)

    def counters(self) -> Mapping[str, int]:
        """None: what goes wrong on the way is pynq's."""
        return {}

    def allocate(self, shape: tuple[int, int], argument: Argument | Weights) -> Any:
        """A buffer of pynq's where the argument's port reaches it.

        Raises:
            DeviceMemoryError: there is no room.
        """
        try:
            return self._pynq.allocate(shape, "u1", target=self._memory(argument))
        except Exception as error:
            ours = isinstance(error, (MemoryError, RuntimeError, OSError)) and not _code(error)
            if not ours and _code(error) != "RESOURCE_EXHAUSTED":
                raise
            raise DeviceMemoryError(
                f"{self.label} has no room for {shape[0] * shape[1]:,} bytes for {argument.name!r} ({_text(error)}): "
                "give a smaller buffer_bytes, or free what other programs hold; what was allocated before stays usable"
            ) from error

    def call(self, what: str, function: Callable[..., Any], *values: Any) -> Any:
        """A call of pynq.

        Raises:
            DeviceError: it failed.
        """
        began = time.perf_counter()
        try:
            return function(*values)
        except GatewrightError:
            raise
        except Exception as error:  # pynq, gRPC and drivers raise many types
            raise self._failure(what, error) from error
        finally:
            self.seconds += time.perf_counter() - began
            self.calls += 1

    def close(self) -> None:
        """Let go of the device; never fails."""
        self._overlay = self._mmio = None
        if self._channel is not None:
            self._forget_clocks()
            self._channel.close()
            self._channel = None

    def _failure(self, what: str, error: Exception) -> DeviceError:
        code = _code(error)
        if code in _LOST:
            self.lost = True
            return DeviceError(
                f"{self.label} stopped answering while {what} ({code}: {_text(error)}): see whether it is on; "
                "the next run connects anew"
            )
        self.broken = self.broken or code == "INTERNAL"
        return DeviceError(f"{self.label} failed while {what}: {f'{code}: ' if code else ''}{_text(error)}")

    def _connect(self, where: object) -> Any:
        if isinstance(where, str):
            if serial_port(where):
                raise ConfigError(
                    f"device={where!r} is a serial port, and {self._bundle.record['board']} is reached by pynq: give "
                    "HOST or HOST:PORT, or nothing on the board itself"
                )
            host, port = address(where)
            try:
                with quiet():
                    from pynq.pl_server.remote_device import RemoteDevice
            except ImportError as error:
                raise DeviceError(f"this pynq has no PYNQ.remote ({error}): pip install 'pynq>=4'") from error
            try:
                device = RemoteDevice(0, host, port)
            except Exception as error:
                raise DeviceError(
                    f"no PYNQ.remote server answers at {host}:{port} ({_text(error)}): switch the board on, or start "
                    "a virtual one with `gatewright board serve BUNDLE`"
                ) from error
            self._channel = device.client.channel
            return device
        if where is not None:
            return where
        try:
            with quiet():
                return self._pynq.Device.active_device
        except Exception as error:
            raise DeviceError(
                f"pynq finds no device on this machine ({_text(error)}): on a board be root and source "
                "/etc/profile.d/pynq_venv.sh; for a remote or virtual board give its address, HOST or HOST:PORT"
            ) from error

    def _load(self, file: str, download: bool) -> Any:
        """pynq asks the active device for some registers whatever device it is given, so it is the active one here."""
        meta = self._pynq.Device
        self._forget_clocks()
        before = getattr(meta, "_active_device", None)
        meta.active_device = self._device
        try:
            for _ in range(_LOADS):
                try:
                    return self._overlay_of(file, download)
                except Exception as error:
                    if _code(error):
                        raise
                    forget_state()
            return self._overlay_of(file, download)
        finally:
            if before is None:
                del meta._active_device
            else:
                meta.active_device = before

    def _forget_clocks(self) -> None:
        """pynq sets clocks through the first device that a process opened, also for others, and after it is gone."""
        if self.remote:
            with suppress(AttributeError):
                del self._pynq.Clocks._real_instance

    def _overlay_of(self, file: str, download: bool) -> Any:
        with quiet():
            return self._pynq.Overlay(file, download=download, device=self._device)

    def _instance(self) -> Any:
        """What a .xclbin says of the kernel, on a card whose kernels pynq can call; else None."""
        if (
            not getattr(self._device, "capabilities", {}).get("CALLABLE")
            or "REGISTER_RW" not in self._device.capabilities
        ):
            return None
        kernel, found = self._bundle.kernel.kernel, self._overlay.ip_dict
        for name in sorted(found):
            if name.rpartition("_")[0] == kernel:
                return found[name]
        raise DeviceError(f"the bitstream has no kernel {kernel!r}; it has {sorted(found)!r}")

    def _base_address(self) -> int:
        instance = self._instance()
        return self._bundle.base_address if instance is None else int(instance["phys_addr"])

    def _memory(self, argument: Argument | Weights) -> Any:
        """Where buffers of an argument belong: on a card the memory bank that the linker gave its port."""
        instance = self._instance()
        for register in () if instance is None else instance["registers"].values():
            if register["address_offset"] == argument.register and register.get("memory"):
                return self._device.get_memory_by_name(register["memory"])
        return self._device


def import_pynq() -> Any:
    """pynq.

    Raises:
        DeviceError: it is not installed, or does not load.
    """
    try:
        with quiet():
            import pynq
    except Exception as error:  # it loads libraries of the board
        raise DeviceError(
            f"pynq cannot be loaded ({type(error).__name__}: {error}): on a board, source /etc/profile.d/pynq_venv.sh "
            "first; elsewhere, pip install pynq"
        ) from error
    return pynq


def forget_state() -> None:
    """Drop what pynq remembers of the last bitstream, in files that all processes of a machine share: one that was half
    written, or is gone between two looks, would make loading fail from then on."""
    with suppress(ImportError, OSError):  # pynq before 3.0 has none
        from pynq.pl_server.global_state import clear_global_state

        clear_global_state()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that pynq gives about itself and about machines that are no boards."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        for text in (".*pkg_resources.*", "No devices found"):
            warnings.filterwarnings("ignore", message=text)
        yield


def serial_port(where: str) -> bool:
    """Whether this names a serial port, and no host."""
    return where.startswith(("serial:", "/")) or (where.upper().startswith("COM") and where[3:].isdigit())


def address(where: str) -> tuple[str, int]:
    """Host and port of "HOST" or "HOST:PORT"; an IPv6 address with a port stands in brackets.

    Raises:
        ConfigError: neither.
    """
    host, colon, port = where.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        return where, PORT
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"device={where!r}: give HOST or HOST:PORT, the port a number from 1 to 65535")
    return host, int(port)


def _code(error: BaseException) -> str:
    """The status of a gRPC error by name; "" for any other."""
    grpc = sys.modules.get("grpc")
    if grpc is None or not isinstance(error, grpc.RpcError):
        return ""
    code = getattr(error, "code", lambda: None)()
    return "UNKNOWN" if code is None else str(code.name)


def _text(error: BaseException) -> str:
    details = getattr(error, "details", None)
    return str(details() if callable(details) else error) or type(error).__name__
