# SPDX-License-Identifier: Apache-2.0
"""From torch to QONNX, and from QONNX to the integer graph."""
