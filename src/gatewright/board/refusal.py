# SPDX-License-Identifier: Apache-2.0
"""What the virtual board answers where it does not do what it is asked: a gRPC status with a text."""

from __future__ import annotations

import reprlib
from typing import NoReturn

import grpc

_LONGEST = 1_500
"""Characters of a text that are sent: a client takes 8 KiB of trailers, and each may need several bytes."""
_quoting = reprlib.Repr()
_quoting.maxstring = _quoting.maxother = 80


class Refusal(Exception):
    """A request that is refused.

    Args:
        code: the gRPC status.
        text: what was wrong, the value, and what to do about it.
    """

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")
        self.code = code
        self.text = str(self)


def quoted(value: object) -> str:
    """A value of the client as it is shown in a text, cut where it is long."""
    return _quoting.repr(value)


def malformed(text: str) -> NoReturn:
    """Refuse a request that no board could do."""
    raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, text)


def unknown(text: str) -> NoReturn:
    """Refuse a request about what is not there."""
    raise Refusal(grpc.StatusCode.NOT_FOUND, text)
