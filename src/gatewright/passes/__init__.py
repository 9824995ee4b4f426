# SPDX-License-Identifier: Apache-2.0
"""Rewrites graph -> graph, one small file each."""
