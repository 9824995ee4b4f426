// SPDX-License-Identifier: Apache-2.0
// Gatewright's own simulation models of cells of which Yosys ships ports and timing only.
