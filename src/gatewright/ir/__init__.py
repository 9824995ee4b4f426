# SPDX-License-Identifier: Apache-2.0
"""The integer graph: tensors, operators, graphs, and how they are rewritten."""
