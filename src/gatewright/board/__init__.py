# SPDX-License-Identifier: Apache-2.0
"""What goes to a board, and the board that is simulated."""
