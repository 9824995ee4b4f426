# SPDX-License-Identifier: Apache-2.0
"""The tests; a package of its own, because pynq installs one of the same name that processes would find instead."""
