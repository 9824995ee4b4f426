# SPDX-License-Identifier: Apache-2.0
"""The report: one self-contained HTML page on a build, the same bytes for the same build."""

from gatewright.report.page import render, write_report

__all__ = ["render", "write_report"]
