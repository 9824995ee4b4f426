# SPDX-License-Identifier: Apache-2.0
"""Synthesis of a design's RTL: what it needs on the chip, counted unit by unit."""
