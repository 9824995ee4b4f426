# SPDX-License-Identifier: Apache-2.0
"""The passes of ``fused`` and ``a2q`` over float32 tensors of the CPU, each in one loop, compiled by numba.

Torch's way, an operation at a time, is the definition, and taken for all that does not fit. Values come from the
float32 operations that torch does, in their order, so both ways give the same bits; sums for gradients, where torch
defines no order, are taken in chunks. Tensors come as addresses, because to wrap them in arrays costs more than many a
loop. There is one thread and no state: no result depends on the number of threads, and a process may fork at any time.

``x``, ``out``, ``grad`` and ``to_x`` are matrices (rows, columns), float32 as all but ``place``, which is int64. A row
is a channel, or the whole tensor where there is one scale and nothing else depends on the channel. Loops over slices,
with | for or, are those that the compiler vectorises.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from torch import Tensor

# Torch shares an operation of more than 32,768 elements among its threads. These loops have one: with two threads of
# torch they win at any size, with many they would lose on large tensors.
FEW_THREADS, FEW_ELEMENTS = 2, 1 << 17
SMALLEST = np.float32(1e-10)
SIGNLESS = np.int32(0x7FFFFFFF)
# Sums are in float32 over so many elements, a few for each lane of a vector, and in float64 beyond.
CHUNK = 1024

# "numpy": division by zero is no exception. Sums may be reordered, which lets them be vectorised; nothing else may.
_inlined = numba.njit(inline="always")
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_summing = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})


def fits(*tensors: Tensor) -> bool:
    """Whether the loops take these tensors and, by the first one's size, are the faster way."""
    if torch.compiler.is_compiling():
        return False
    for t in tensors:
        # A subclass may have no memory, as while torch traces.
        if type(t) is not Tensor and type(t) is not torch.nn.Parameter:
            return False
        if t.dtype != torch.float32 or not t.is_cpu or not t.is_contiguous():
            return False
    return tensors[0].numel() > 0 and (tensors[0].numel() <= FEW_ELEMENTS or torch.get_num_threads() <= FEW_THREADS)


def _pointer_to(dtype: Any) -> Any:
    pointer_type: Any = types.CPointer

    @intrinsic
    def pointer(context: Any, address: Any) -> tuple[Signature, Any]:
        def code(context: Any, builder: Any, signature: Signature, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        signature: Signature = pointer_type(dtype)(address)
        return signature, code

    return pointer


_floats, _integers, _places = _pointer_to(types.float32), _pointer_to(types.int32), _pointer_to(types.int64)


@_inlined
def _matrix(address: int, rows: int, columns: int) -> Any:
    return carray(_floats(address), (rows, columns))


@_inlined
def _vector(address: int, size: int) -> Any:
    return carray(_floats(address), size)


@_inlined
def _at_least_smallest(x: Any) -> Any:
    return SMALLEST if x < SMALLEST else x


@_inlined
def _clip(q: Any, low: Any, high: Any) -> Any:
    """So written, NaN passes, as in torch's clamp."""
    q = low if q < low else q
    return high if q > high else q


@_inlined
def _sign(x: Any) -> Any:
    return np.float32(x > 0) - np.float32(x < 0)


@_compiled
def on_grid(
    rows: int, columns: int, x: int, scale: int, out: int, low_limit: float, high_limit: float, bipolar: bool
) -> None:
    """out = scale * clip(round_half_even(x / scale), low, high), or scale * sign(x / scale) if bipolar."""
    xs, outs = _matrix(x, rows, columns), _matrix(out, rows, columns)
    scales = _vector(scale, rows)
    low, high = np.float32(low_limit), np.float32(high_limit)
    for r in range(rows):
        s = scales[r]
        if bipolar:
            for k in range(columns):
                outs[r, k] = s if xs[r, k] / s >= 0 else -s
        else:
            for k in range(columns):
                outs[r, k] = _clip(np.rint(xs[r, k] / s), low, high) * s


@_summing
def on_grid_gradient(
    rows: int,
    columns: int,
    grad: int,
    x: int,
    scale: int,
    low_limit: float,
    high_limit: float,
    bipolar: bool,
    inside_low: float,
    inside_high: float,
    factor: float,
    logarithmic: bool,
    to_x: int,
    to_scale: int,
) -> None:
    """to_x = grad where inside_low < x / scale < inside_high, else zero, and the gradient to the scale times factor.

    That is sum(grad * out - to_x * x) of each row for the logarithm of the scale, divided by the scale where it is not
    ``logarithmic``. NaN counts as inside, as in torch's hardtanh.
    """
    grads, xs = _matrix(grad, rows, columns), _matrix(x, rows, columns)
    scales, to_xs = _vector(scale, rows), _matrix(to_x, rows, columns)
    to_scales = _vector(to_scale, rows)
    low, high = np.float32(low_limit), np.float32(high_limit)
    least, greatest = np.float32(inside_low), np.float32(inside_high)
    for r in range(rows):
        s, total = scales[r], np.float64(0)
        for start in range(0, columns, CHUNK):
            x_part, to_part = xs[r, start : start + CHUNK], to_xs[r, start : start + CHUNK]
            grad_part, part = grads[r, start : start + CHUNK], np.float32(0)
            for k in range(len(x_part)):
                y, g = x_part[k] / s, grad_part[k]
                q = (np.float32(1) if y >= 0 else np.float32(-1)) if bipolar else _clip(np.rint(y), low, high)
                inside = np.float32(0) if (y <= least) | (y >= greatest) else g
                to_part[k] = inside
                part += g * (q * s) - inside * x_part[k]
            total += part
        to_scales[r] = total * factor if logarithmic else total * factor / s


@_compiled
def by_max(
    rows: int, columns: int, x: int, out: int, place: int, scales: int, low_limit: float, high_limit: float
) -> None:
    """``on_grid`` with scale = max|x| / max(high, -low), of each row or, with ``scales`` 1, of all.

    place: where in the flat tensor the (first) maximum lies, int64 (scales,).
    """
    xs, outs = _matrix(x, rows, columns), _matrix(out, rows, columns)
    # Without their sign, the bits of floats are ordered as the floats are, with NaN above all, as torch's max has it.
    bits, places = carray(_integers(x), (rows, columns)), carray(_places(place), scales)
    low, high = np.float32(low_limit), np.float32(high_limit)
    most = np.int32(-1)
    group = rows // scales
    for r in range(rows):
        if r % group == 0:
            most = np.int32(-1)
        largest = np.int32(0)
        for k in range(columns):
            largest = max(largest, np.int32(bits[r, k] & SIGNLESS))
        if largest > most:
            most, first = largest, 0
            while np.int32(bits[r, first] & SIGNLESS) != largest:
                first += 1
            places[r // group] = r * columns + first
        if (r + 1) % group == 0:
            s = _at_least_smallest(abs(xs.flat[places[r // group]])) / max(high, -low)
            for i in range(r + 1 - group, r + 1):
                for k in range(columns):
                    outs[i, k] = _clip(np.rint(xs[i, k] / s), low, high) * s


@_summing
def by_max_gradient(
    rows: int, columns: int, grad: int, x: int, place: int, scales: int, low_limit: float, high_limit: float, to_x: int
) -> None:
    """to_x = grad, and at each place of a maximum the gradient of the logarithm of the scale besides."""
    grads, xs = _matrix(grad, rows, columns), _matrix(x, rows, columns)
    to_xs, places = _matrix(to_x, rows, columns), carray(_places(place), scales)
    low, high = np.float32(low_limit), np.float32(high_limit)
    total, group = np.float64(0), rows // scales
    for r in range(rows):
        largest = xs.flat[places[r // group]]
        magnitude = _at_least_smallest(abs(largest))
        s = magnitude / max(high, -low)
        for start in range(0, columns, CHUNK):
            x_part, to_part = xs[r, start : start + CHUNK], to_xs[r, start : start + CHUNK]
            grad_part, part = grads[r, start : start + CHUNK], np.float32(0)
            for k in range(len(x_part)):
                part += grad_part[k] * (_clip(np.rint(x_part[k] / s), low, high) * s - x_part[k])
                to_part[k] = grad_part[k]
            total += part
        if (r + 1) % group == 0:
            to_xs.flat[places[r // group]] += np.float32(total / magnitude) * np.sign(largest)
            total = np.float64(0)


@_inlined
def _target_and_divisor(length: Any, norm: Any, scale: Any, cap: Any) -> tuple[Any, Any]:
    target = norm / scale
    target = cap if target > cap else target
    return target, _at_least_smallest(length / target)


@_compiled
def bounded(
    rows: int,
    columns: int,
    x: int,
    mean: int,
    norm: int,
    scale: int,
    scales: int,
    cap: float,
    limit: float,
    length: int,
    out: int,
) -> None:
    """A2Q: out = scale * clip(trunc(x / d - mean / d), -limit, limit), d = length / min(norm / scale, cap).

    length: to be the L1 norm of x - mean. ``scales``: 1 or rows.
    """
    xs, outs = _matrix(x, rows, columns), _matrix(out, rows, columns)
    means, lengths = _vector(mean, rows), _vector(length, rows)
    norms, scale_of = _vector(norm, rows), _vector(scale, scales)
    most, greatest = np.float32(cap), np.float32(limit)
    _l1_norms(xs, means, lengths)
    for r in range(rows):
        s = scale_of[r % scales]
        _, d = _target_and_divisor(lengths[r], norms[r], s, most)
        shift = -means[r] / d
        for k in range(columns):
            outs[r, k] = _clip(np.trunc(xs[r, k] / d + shift), -greatest, greatest) * s


@_compiled
def _l1_norms(xs: Any, means: Any, lengths: Any) -> None:
    """Sums from the first element to the last, as torch takes them; of eight rows at once, so that none waits."""
    whole = len(xs) - len(xs) % 8
    for r in range(0, whole, 8):
        a = b = c = d = e = f = g = h = np.float32(0)
        for k in range(xs.shape[1]):
            a += abs(xs[r, k] - means[r])
            b += abs(xs[r + 1, k] - means[r + 1])
            c += abs(xs[r + 2, k] - means[r + 2])
            d += abs(xs[r + 3, k] - means[r + 3])
            e += abs(xs[r + 4, k] - means[r + 4])
            f += abs(xs[r + 5, k] - means[r + 5])
            g += abs(xs[r + 6, k] - means[r + 6])
            h += abs(xs[r + 7, k] - means[r + 7])
        lengths[r : r + 8] = (a, b, c, d, e, f, g, h)
    for r in range(whole, len(xs)):
        a = np.float32(0)
        for k in range(xs.shape[1]):
            a += abs(xs[r, k] - means[r])
        lengths[r] = a


@_summing
def bounded_gradient(
    rows: int,
    columns: int,
    grad: int,
    x: int,
    mean: int,
    norm: int,
    scale: int,
    scales: int,
    cap: float,
    limit: float,
    length: int,
    centered: bool,
    to_x: int,
    to_norm: int,
    to_scale: int,
) -> None:
    """Gradients of ``bounded``: to x, and to log2 of norm (rows,) and scale (scales,).

    centered: whether the mean is that of x, rather than constant.
    """
    grads, xs = _matrix(grad, rows, columns), _matrix(x, rows, columns)
    to_xs, means = _matrix(to_x, rows, columns), _vector(mean, rows)
    lengths, norms = _vector(length, rows), _vector(norm, rows)
    scale_of, to_scales = _vector(scale, scales), _vector(to_scale, scales)
    to_norms, of_scale, group = _vector(to_norm, rows), np.float64(0), rows // scales
    most, greatest = np.float32(cap), np.float32(limit)
    # Below limit + 1, rounding toward zero stays within the limit.
    beyond = greatest + np.float32(1)
    for r in range(rows):
        s, mean_r = scale_of[r % scales], means[r]
        target, d = _target_and_divisor(lengths[r], norms[r], s, most)
        shift = -mean_r / d
        of_y = of_step = of_sign = of_out = np.float64(0)
        for start in range(0, columns, CHUNK):
            x_part, to_part = xs[r, start : start + CHUNK], to_xs[r, start : start + CHUNK]
            grad_part = grads[r, start : start + CHUNK]
            y_part = step_part = sign_part = out_part = np.float32(0)
            for k in range(len(x_part)):
                y, g = x_part[k] / d + shift, grad_part[k]
                inside = np.float32(0) if (y <= -beyond) | (y >= beyond) else g * s
                step = inside / d
                to_part[k] = step
                y_part += inside * y
                step_part += step
                sign_part += _sign(x_part[k] - mean_r)
                out_part += g * _clip(np.trunc(y), -greatest, greatest)
            of_y, of_step, of_sign, of_out = of_y + y_part, of_step + step_part, of_sign + sign_part, of_out + out_part
        to_length = -of_y / d / target
        slope = np.float32(to_length)
        shared = np.float32((of_step + to_length * of_sign) / columns) if centered else np.float32(0)
        for k in range(columns):
            to_xs[r, k] = to_xs[r, k] + _sign(xs[r, k] - mean_r) * slope - shared
        of_norm = 0.0 if norms[r] / s > most else -to_length * lengths[r] * np.log(2.0)
        to_norms[r] = of_norm
        of_scale += of_out * s * np.log(2.0) - of_norm
        if (r + 1) % group == 0:
            to_scales[r // group] = of_scale
            of_scale = np.float64(0)
