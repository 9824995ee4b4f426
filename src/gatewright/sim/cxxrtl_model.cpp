// SPDX-License-Identifier: Apache-2.0
// A model written by Yosys' CXXRTL as the harness sees it; design.h is the model, pins.inc lists the ports.
#include "design.h"
#include "harness.hpp"

#include <cstring>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are taken from and given to CXXRTL's chunks byte by byte, which needs a little-endian machine"
#endif

namespace gatewright {
namespace {

template <std::size_t Bits>
std::uint8_t *bytes(cxxrtl::value<Bits> &pin) {
  return reinterpret_cast<std::uint8_t *>(pin.data);
}

template <std::size_t Bits>
std::uint8_t *bytes(cxxrtl::wire<Bits> &pin) {
  return reinterpret_cast<std::uint8_t *>(pin.curr.data);
}

class Model final : public Dut {
 public:
  Model() {
    clk = bytes(top_.p_clk);
    rst_n = bytes(top_.p_rst__n);
#define PORT(PREFIX, NAME, INPUT, GROUP, BYTES)                                                                     \
  pins.push_back({PREFIX, INPUT, GROUP, BYTES, bytes(top_.NAME##__tdata), bytes(top_.NAME##__tvalid),               \
                  bytes(top_.NAME##__tready), bytes(top_.NAME##__tlast)});
#include "pins.inc"
#undef PORT
  }
  void eval() override { top_.step(); }
  bool finished() override { return false; }
  bool failed() override { return false; }
  void advance() override {}
  void open_trace(const char *) override {}
  void dump() override {}

 private:
  cxxrtl_design::p_TOP top_;
};

}  // namespace

// CXXRTL starts registers without a value at 0: a run under Verilator starts them at random.
std::unique_ptr<Dut> make_dut(int) { return std::make_unique<Model>(); }

}  // namespace gatewright
