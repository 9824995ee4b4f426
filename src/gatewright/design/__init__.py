# SPDX-License-Identifier: Apache-2.0
"""Folding, FIFO sizing, cycle and resource models."""
