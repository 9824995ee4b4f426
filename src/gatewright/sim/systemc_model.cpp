// SPDX-License-Identifier: Apache-2.0
// SystemC models as the harness sees them; models.inc includes and declares them, pins.inc lists their ports.
#include "harness.hpp"
#include "models.inc"

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

// The library wants it; the harness has the program's main and lets time pass itself.
int sc_main(int, char**) { return 0; }

namespace gatewright {
namespace {

/// A port between two clock edges: what the harness drives goes in before an edge, what the model shows comes out after.
class Pin {
 public:
  Pin(const char* prefix, bool input, std::size_t group, std::size_t bytes, std::uint64_t beats)
      : data(bytes), beats_(beats), prefix_(prefix), input_(input), group_(group) {}
  virtual ~Pin() = default;
  virtual void before() = 0;
  virtual void after() = 0;
  Pins pins() { return Pins{prefix_, input_, group_, data.size(), data.data(), &valid, &ready, &last}; }

 protected:
  std::vector<std::uint8_t> data;
  std::uint8_t valid = 0, ready = 0, last = 0;
  std::uint64_t beats_, beat_ = 0;

 private:
  const char* prefix_;
  bool input_;
  std::size_t group_;
};

template <int BITS, int SIGNED, int LANES>
class InputPin final : public Pin {
  typedef beat_t<BITS, SIGNED, LANES> Word;

 public:
  InputPin(const char* prefix, std::size_t group, std::uint64_t beats, systemc::Source<Word>& source)
      : Pin(prefix, true, group, (BITS * LANES + 7) / 8, beats), source_(source) {}
  void before() override {
    if (!valid || !ready) return;
    Word word;
    for (int i = 0; i < LANES; ++i) {
      std::uint64_t bits = 0;
      for (int b = 0; b < BITS; ++b) {
        const int at = i * BITS + b;
        bits |= static_cast<std::uint64_t>(data[at / 8] >> (at % 8) & 1) << b;
      }
      word.lane[i] = ap_uint<BITS>(bits);
    }
    source_.offer(word);
  }
  void after() override { ready = source_.ready(); }

 private:
  systemc::Source<Word>& source_;
};

template <int BITS, int SIGNED, int LANES>
class OutputPin final : public Pin {
  typedef beat_t<BITS, SIGNED, LANES> Word;

 public:
  OutputPin(const char* prefix, std::size_t group, std::uint64_t beats, systemc::Drain<Word>& drain)
      : Pin(prefix, false, group, (BITS * LANES + 7) / 8, beats), drain_(drain) {}
  void before() override {
    drain_.set_ready(ready);
    if (valid && ready) beat_ = (beat_ + 1) % beats_;
  }
  void after() override {
    valid = drain_.valid();
    if (!valid) return;
    last = beat_ + 1 == beats_;
    std::fill(data.begin(), data.end(), 0);
    const Word& word = drain_.beat();
    for (int i = 0; i < LANES; ++i) {
      const std::uint64_t bits = ap_uint<BITS>(word.lane[i]).to_uint64();
      for (int b = 0; b < BITS; ++b) {
        const int at = i * BITS + b;
        data[at / 8] |= static_cast<std::uint8_t>((bits >> b & 1) << (at % 8));
      }
    }
  }

 private:
  systemc::Drain<Word>& drain_;
};

class Model final : public Dut {
 public:
  Model() {
    clk = &clk_;
    rst_n = &rst_n_;
#define INPUT(NAME, PORT, PREFIX, GROUP, BITS, SIGNED, LANES, BEATS) \
  add(std::make_unique<InputPin<BITS, SIGNED, LANES>>(PREFIX, GROUP, BEATS, designs.NAME.PORT));
#define OUTPUT(NAME, PORT, PREFIX, GROUP, BITS, SIGNED, LANES, BEATS) \
  add(std::make_unique<OutputPin<BITS, SIGNED, LANES>>(PREFIX, GROUP, BEATS, designs.NAME.PORT));
#include "pins.inc"
#undef OUTPUT
#undef INPUT
  }
  ~Model() override {
    if (wave_) sc_core::sc_close_vcd_trace_file(wave_);
  }
  void eval() override {
    if (!rst_n_) return;  // a model is fresh when it is made, and the harness resets it once
    if (!clk_) {
      for (auto& pin : pins_) pin->after();
      return;
    }
    for (auto& pin : pins_) pin->before();
    sc_core::sc_start(designs.period());
    failed_ = failed_ || sc_core::sc_get_status() == sc_core::SC_STOPPED;
  }
  bool finished() override { return false; }
  bool failed() override { return failed_; }
  void advance() override {}
  void open_trace(const char* path) override {
    const std::string name(path);
    wave_ = sc_core::sc_create_vcd_trace_file(name.substr(0, name.rfind('.')).c_str());
    wave_->set_time_unit(1, sc_core::SC_PS);
    designs.trace(wave_);
  }
  void dump() override {}  // the kernel of SystemC does, from the beginning to the end
  void save(const char* folder) override {
    std::ofstream file(std::string(folder) + "/observed.txt");
    designs.print(file);
  }

 private:
  void add(std::unique_ptr<Pin> pin) {
    pins.push_back(pin->pins());
    pins_.push_back(std::move(pin));
  }

  Designs designs;
  std::vector<std::unique_ptr<Pin>> pins_;
  std::uint8_t clk_ = 0, rst_n_ = 0;
  bool failed_ = false;
  sc_core::sc_trace_file* wave_ = nullptr;
};

}  // namespace

std::unique_ptr<Dut> make_dut(int) { return std::make_unique<Model>(); }

}  // namespace gatewright
