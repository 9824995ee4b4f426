# SPDX-License-Identifier: Apache-2.0
"""Running what was generated: RTL under Verilator, and the tools that this needs."""
