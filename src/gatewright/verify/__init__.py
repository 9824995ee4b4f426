# SPDX-License-Identifier: Apache-2.0
"""The check chain: the same inputs through every stage of a build, bit for bit."""

from gatewright.verify.check import STAGES, StageResult, check

__all__ = ["STAGES", "StageResult", "check"]
