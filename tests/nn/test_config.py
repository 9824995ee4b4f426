# SPDX-License-Identifier: Apache-2.0
"""Settings are checked when they are made."""

from __future__ import annotations

import pytest

from gatewright.errors import ConfigError
from gatewright.nn import WeightQuant, integer_limits


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 1}, "bits=1 is no weight width: use 2 to 8 bits"),
        ({"bits": 9}, "bits=9 is no weight width"),
        ({"bits": "4"}, "bits='4' is no weight width: use 2 to 8 bits, an integer"),
        ({"bits": 4.0}, "bits=4.0 is no weight width"),
        ({"kind": "int"}, r"kind='int' is no weight quantiser: use one of symmetric, ternary, bipolar, a2q, a2q\+"),
        ({"kind": "ternary"}, "bits=4 with kind='ternary': its weights have bits=2"),
        ({"kind": "bipolar", "bits": 2}, "bits=2 with kind='bipolar': its weights have bits=1"),
        ({"kind": "bipolar", "bits": True}, "bits=True with kind='bipolar'"),
        ({"kind": "bipolar", "bits": 1, "accumulator_bits": 8}, "accumulator_bits=8 has no effect on kind='bipolar'"),
        ({"narrow": 1}, "narrow=1 must be True or False"),
        ({"per_channel": None}, "per_channel=None must be True or False"),
        ({"kind": "ternary", "bits": 2, "narrow": False}, "narrow=False has no meaning for kind='ternary'"),
        ({"scale": "max"}, "scale='max' must be 'learned', 'stats' or a positive number"),
        ({"scale": -0.5}, "scale=-0.5 must be 'learned'"),
        ({"scale": True}, "scale=True must be 'learned'"),
        ({"scale": float("nan")}, "scale=nan must be 'learned'"),
        ({"scale": 0.3, "power_of_two": True}, "scale=0.3 is no power of two: give one"),
        ({"kind": "a2q", "accumulator_bits": 8, "scale": "stats"}, "scale='stats' with kind='a2q': its scale is"),
        ({"accumulator_bits": 16}, "accumulator_bits=16 has no effect on kind='symmetric'"),
        ({"kind": "a2q"}, "accumulator_bits=None with kind='a2q': give a width of 2 to 32 bits"),
        ({"kind": "a2q", "accumulator_bits": "12"}, "accumulator_bits='12' with kind='a2q': .* bits, an integer"),
        ({"kind": "a2q", "accumulator_bits": 12.5}, "accumulator_bits=12.5 with kind='a2q'"),
        ({"kind": "a2q+", "accumulator_bits": 33}, "accumulator_bits=33 with kind"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        WeightQuant(**settings)


@pytest.mark.parametrize(
    ("bits", "signed", "limits"),
    [(1, False, (0, 1)), (1, True, (-1, 1)), (4, False, (0, 15)), (4, True, (-8, 7)), (8, True, (-128, 127))],
)
def test_integer_limits(bits, signed, limits):
    assert integer_limits(bits, signed) == limits


def test_narrow_limits_are_symmetric():
    assert integer_limits(4, True, narrow=True) == (-7, 7)
    assert integer_limits(2, True, narrow=True) == (-1, 1)
    assert integer_limits(4, False, narrow=True) == (0, 15)
