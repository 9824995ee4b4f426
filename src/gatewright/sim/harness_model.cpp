// SPDX-License-Identifier: Apache-2.0
// The Verilator model as the harness sees it. Compiled with the model; pins.inc lists the ports.
#include "Vdut.h"
#include "harness.hpp"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

double sc_time_stamp() { return 0; }

namespace gatewright {
namespace {

class Model final : public Dut {
 public:
  explicit Model(int seed) {
    context_.randSeed(seed);
    context_.randReset(2);
    context_.traceEverOn(VM_TRACE);
    context_.fatalOnError(false);  // the harness ends the run, and keeps what it saw
    top_ = std::make_unique<Vdut>(&context_, "top");
    clk = &top_->clk;
    rst_n = &top_->rst_n;
#define PORT(PREFIX, INPUT, GROUP, BYTES)                                                                   \
  pins.push_back({#PREFIX, INPUT, GROUP, BYTES, &top_->PREFIX##_tdata, &top_->PREFIX##_tvalid,              \
                  &top_->PREFIX##_tready, &top_->PREFIX##_tlast});
#define MONITOR(PREFIX, BYTES)                                                                              \
  monitors.push_back({#PREFIX, false, 0, BYTES, &top_->PREFIX##_tdata, &top_->PREFIX##_tvalid,              \
                      &top_->PREFIX##_tready, &top_->PREFIX##_tlast});
#include "pins.inc"
#undef MONITOR
#undef PORT
  }
  ~Model() override {
#if VM_TRACE
    if (wave_) wave_->close();
#endif
    top_->final();
  }
  void eval() override { top_->eval(); }
  bool finished() override { return context_.gotFinish(); }
  bool failed() override { return context_.gotError(); }
  void advance() override { context_.timeInc(1); }
#if VM_TRACE
  void open_trace(const char *path) override {
    wave_ = std::make_unique<VerilatedVcdC>();
    top_->trace(wave_.get(), 99);
    wave_->open(path);
  }
  void dump() override { wave_->dump(context_.time()); }
#else
  void open_trace(const char *) override {}
  void dump() override {}
#endif

 private:
  VerilatedContext context_;
  std::unique_ptr<Vdut> top_;
#if VM_TRACE
  std::unique_ptr<VerilatedVcdC> wave_;
#endif
};

}  // namespace

std::unique_ptr<Dut> make_dut(int seed) { return std::make_unique<Model>(seed); }

}  // namespace gatewright
