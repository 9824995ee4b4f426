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
        ({"kind": "int"}, r"kind='int' is no weight quantiser: use one of symmetric, a2q, a2q\+"),
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
