# SPDX-License-Identifier: Apache-2.0
"""PYNQ.remote on the wire: messages as the package `pynq` brings them, and a handler for every call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import grpc

from gatewright.errors import MissingToolError

Message = Any
"""A message of protobuf; its classes are made when the package is imported."""
Call = Callable[[Message, grpc.ServicerContext], Message]


class Malformed:
    """Bytes that are no message of the kind that was expected."""


def messages() -> Mapping[str, ModuleType]:
    """The modules of messages by the name of their service's package.

    Raises:
        MissingToolError: pynq is not installed.
    """
    try:
        with warnings.catch_warnings():
            # About setuptools, and that this is no board; nothing here depends on either.
            warnings.simplefilter("ignore")
            from pynq.remote import buffer_pb2, gpio_pb2, mmio_pb2, remote_device_pb2
    except ImportError as error:
        raise MissingToolError(f"pynq is missing ({error}): pip install 'gatewright[board]'") from error
    return {"buffer": buffer_pb2, "gpio": gpio_pb2, "mmio": mmio_pb2, "remote_device": remote_device_pb2}


def handlers(
    services: Mapping[str, object], around: Callable[[Any, Any, Callable[..., Any]], Any]
) -> Iterator[grpc.GenericRpcHandler]:
    """Handlers of every call of every service.

    Args:
        services: an object by the name of its service's package, with a method by the name of every call.
        around: called as around(request, context, method) with what a client sent; an answer, or for a call that
            answers with a stream an iterator of answers.
    """
    for package, module in messages().items():
        for service in module.DESCRIPTOR.services_by_name.values():
            calls = {m.name: _handler(m, getattr(services[package], m.name), around) for m in service.methods}
            yield grpc.method_handlers_generic_handler(service.full_name, calls)


def _handler(method: Any, function: Callable[..., Any], around: Callable[..., Any]) -> grpc.RpcMethodHandler:
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    return make(
        lambda request, context: around(request, context, function),
        request_deserializer=lambda data: _parsed(method.input_type, data),
        response_serializer=lambda message: message.SerializeToString(),
    )


def _parsed(kind: Any, data: bytes) -> Message:
    from google.protobuf.message import DecodeError
    from google.protobuf.message_factory import GetMessageClass

    message = GetMessageClass(kind)()
    try:
        message.ParseFromString(data)
    except DecodeError:
        # Raised here it would end in a traceback in the server's log, and say nothing to the client.
        return Malformed()
    return message
