// SPDX-License-Identifier: Apache-2.0
// What the shim compiled with a kernel gives to the driver: its pins by name, and the few calls that a run needs.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace gatewright {

/// A pin of the top level: little-endian bytes, `bits` of them used.
struct Pin {
  const char *name;
  bool input;
  unsigned bits;
  void *data;
};

class KernelDut {
 public:
  std::vector<Pin> pins;

  virtual ~KernelDut() = default;
  virtual void eval() = 0;
  /// Whether the design called $finish.
  virtual bool finished() = 0;
  /// Whether an assertion of the design failed.
  virtual bool failed() = 0;
  /// Moves time on by half a clock period.
  virtual void advance() = 0;

  const Pin &pin(const std::string &name) const {
    for (const Pin &pin : pins)
      if (name == pin.name) return pin;
    throw std::runtime_error("there is no pin " + name);
  }
  /// The value of a pin of T's width.
  template <typename T>
  T *find(const std::string &name) const {
    return static_cast<T *>(pin(name).data);
  }
};

/// Defined by the shim: the kernel with every register and memory set at random from `seed`.
std::unique_ptr<KernelDut> make_kernel(int seed);

}  // namespace gatewright
