# SPDX-License-Identifier: Apache-2.0
"""Emitters: structure only. They write instances, streams, parameters and memory files, and name no operator."""
