// SPDX-License-Identifier: Apache-2.0
// The Verilator model of a kernel as the driver sees it. Compiled with the model; pins.inc lists all pins.
#include <cstring>

#include "Vdut.h"
#include "kernel_dut.hpp"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace gatewright {
namespace {

class Model final : public KernelDut {
 public:
  explicit Model(int seed) {
    context_.randSeed(seed);
    context_.randReset(2);
    context_.fatalOnError(false);  // the driver ends the run, and says where
    top_ = std::make_unique<Vdut>(&context_, "top");
#define PIN(NAME, MEMBER, INPUT, BITS)                   \
  pins.push_back({#NAME, INPUT, BITS, &top_->MEMBER});   \
  if (INPUT) std::memset(&top_->MEMBER, 0, sizeof(top_->MEMBER));
#include "pins.inc"
#undef PIN
  }
  ~Model() override { top_->final(); }
  void eval() override { top_->eval(); }
  bool finished() override { return context_.gotFinish(); }
  bool failed() override { return context_.gotError(); }
  void advance() override { context_.timeInc(1); }

 private:
  VerilatedContext context_;
  std::unique_ptr<Vdut> top_;
};

}  // namespace

std::unique_ptr<KernelDut> make_kernel(int seed) { return std::make_unique<Model>(seed); }

}  // namespace gatewright
