# SPDX-License-Identifier: Apache-2.0
"""Models that others made: fetched from package registries, converted where they are no ONNX, run as they were made."""
