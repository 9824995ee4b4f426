// SPDX-License-Identifier: Apache-2.0
// What the shim written for a model gives to the harness: its pins, and the few calls that a run needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace gatewright {

/// The pins of one AXI4-Stream port, `bytes` of data wide; ports of one group wait for each other, groups do not.
/// Those of a monitor are all outputs: a stream inside the design that is only watched.
struct Pins {
  const char *prefix;
  bool input;
  std::size_t group;
  std::size_t bytes;
  void *tdata;
  std::uint8_t *tvalid, *tready, *tlast;
};

class Dut {
 public:
  std::uint8_t *clk = nullptr, *rst_n = nullptr;
  std::vector<Pins> pins, monitors;

  virtual ~Dut() = default;
  virtual void eval() = 0;
  /// Whether the design called $finish.
  virtual bool finished() = 0;
  /// Whether an assertion of the design failed.
  virtual bool failed() = 0;
  /// Moves time on by half a clock period.
  virtual void advance() = 0;
  virtual void open_trace(const char *path) = 0;
  virtual void dump() = 0;
  /// Leaves beside the results what else the model knows of a run.
  virtual void save(const char *) {}
};

/// Defined by the shim: the model with every register and memory set at random from `seed`.
std::unique_ptr<Dut> make_dut(int seed);

}  // namespace gatewright
