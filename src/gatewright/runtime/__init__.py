# SPDX-License-Identifier: Apache-2.0
"""The driver on the board. It stands alone: Python 3.8, NumPy and pynq are all that it needs.

A bundle carries a copy of this package under another name, therefore its imports are relative.
"""
