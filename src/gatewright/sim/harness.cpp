// SPDX-License-Identifier: Apache-2.0
// Streams whole data sets through a Verilator model: `sim FOLDER` reads FOLDER/run.txt and PREFIX.in, and writes
// PREFIX.out (words), PREFIX.cycles (one int64 a beat) and result.txt, or error.txt. Words are little-endian bytes.
// What monitors saw is written in either case, with monitors.txt.
#include "harness.hpp"
#include "harness_monitor.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>

namespace gatewright {
namespace {

constexpr int kResetCycles = 16;
// Cycles after the last expected beat in which the design must stay silent.
constexpr std::uint64_t kDrainCycles = 64;
constexpr std::uint64_t kProgressCycles = 1 << 14;

/// Two-state Markov chain: stalls begin with probability `enter` a cycle and end with probability `leave`.
class Stall {
 public:
  void configure(double enter, double leave, std::uint64_t seed) {
    enter_ = threshold(enter);
    leave_ = threshold(leave);
    rng_.seed(seed);
    stalled_ = rng_() < enter_;
  }
  bool step() {
    if (enter_ == 0) return false;
    stalled_ = stalled_ ? rng_() >= leave_ : rng_() < enter_;
    return stalled_;
  }

 private:
  static std::uint64_t threshold(double p) {
    return p >= 1.0 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(p * 18446744073709551616.0);
  }
  std::mt19937_64 rng_;
  std::uint64_t enter_ = 0, leave_ = 0;
  bool stalled_ = false;
};

struct Port {
  Pins pins;
  std::uint64_t beats = 1, frames = 0;
  std::uint64_t stored = 0;            // beats in the file of an input, which repeats them where it has more frames
  std::vector<std::uint8_t> data;      // all words, taken from the file or collected
  std::vector<std::int64_t> cycles;    // of every handshake
  std::uint64_t busy = 0, blocked = 0, idle = 0;
  std::uint64_t waiting_since = 0;
  bool was_blocked = false, held_last = false;
  std::vector<std::uint8_t> held;
  Stall stall;

  std::uint64_t done() const { return cycles.size(); }
  std::uint64_t total() const { return beats * frames; }
  std::string where(std::uint64_t beat) const {
    return "frame " + std::to_string(beat / beats) + " beat " + std::to_string(beat % beats);
  }
};

class Simulation {
 public:
  Simulation(std::string folder) : folder_(std::move(folder)) { configure(); }
  void run();
  void save();
  void save_monitors() const;

 private:
  void configure();
  void configure_port(const std::string &prefix, std::uint64_t beats, std::uint64_t frames, std::uint64_t stored);
  void reset();
  void drive(Port &port);
  void sample(Port &port);
  void sample_output(Port &port);
  void clock();
  void trace();
  void watch() const;
  [[noreturn]] void fail(const std::string &text) const {
    throw std::runtime_error("cycle " + std::to_string(cycle_) + ": " + text);
  }
  [[noreturn]] void fail_stalled(std::size_t group) const;
  std::string state(const Port &port) const;
  void report_progress() const;

  std::string folder_;
  std::unique_ptr<Dut> dut_;
  std::vector<Port> ports_;
  std::vector<Monitor> monitors_;
  std::vector<std::uint64_t> last_progress_;   // per group: cycle of its last handshake
  std::vector<std::uint64_t> resets_;
  std::uint64_t cycle_ = 0, timeout_ = 0, trace_from_ = 0, trace_to_ = 0, remaining_ = 0;
  std::uint64_t seed_ = 0;
  double stall_[2][2] = {};
  bool tracing_ = false;
};

void Simulation::configure() {
  std::ifstream file(folder_ + "/run.txt");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key, prefix;
    words >> key;
    if (key == "seed") {
      words >> seed_;
      dut_ = make_dut(static_cast<int>(seed_));
      monitors_ = std::vector<Monitor>(dut_->monitors.begin(), dut_->monitors.end());
    } else if (key == "stall") {
      words >> stall_[1][0] >> stall_[1][1] >> stall_[0][0] >> stall_[0][1];
    } else if (key == "timeout") {
      words >> timeout_;
    } else if (key == "reset") {
      resets_.push_back(0);
      words >> resets_.back();
    } else if (key == "trace") {
      words >> trace_from_ >> trace_to_;
      tracing_ = true;
      dut_->open_trace((folder_ + "/wave.vcd").c_str());
    } else if (key == "port") {
      std::uint64_t beats = 0, frames = 0, stored = 0;
      words >> prefix >> beats >> frames >> stored;
      configure_port(prefix, beats, frames, stored);
    }
    if (!words) throw std::runtime_error("run.txt: cannot read " + line);
  }
}

void Simulation::configure_port(const std::string &prefix, std::uint64_t beats, std::uint64_t frames,
                                std::uint64_t stored) {
  for (const Pins &pins : dut_->pins) {
    if (prefix != pins.prefix) continue;
    Port port;
    port.pins = pins;
    port.beats = beats;
    port.frames = frames;
    port.stored = beats * stored;
    port.held.resize(pins.bytes);
    if (pins.input) {
      std::ifstream file(folder_ + "/" + prefix + ".in", std::ios::binary);
      port.data.resize(port.stored * pins.bytes);
      file.read(reinterpret_cast<char *>(port.data.data()), static_cast<std::streamsize>(port.data.size()));
      if (!file) throw std::runtime_error(prefix + ".in is shorter than its frames");
    }
    last_progress_.resize(std::max(last_progress_.size(), pins.group + 1));
    ports_.push_back(std::move(port));
    return;
  }
  throw std::runtime_error("no port " + prefix);
}

/// One clock period, from settled pins.
void Simulation::clock() {
  trace();
  dut_->advance();
  *dut_->clk = 1;
  dut_->eval();
  trace();
  dut_->advance();
  *dut_->clk = 0;
}

void Simulation::trace() {
  if (tracing_ && cycle_ >= trace_from_ && cycle_ < trace_to_) dut_->dump();
}

/// Back to frame 0 of every port, with nothing received, as after power-up.
void Simulation::reset() {
  *dut_->clk = 0;
  *dut_->rst_n = 0;
  remaining_ = 0;
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    Port &port = ports_[i];
    port.cycles.clear();
    port.busy = port.blocked = port.idle = port.waiting_since = 0;
    port.was_blocked = false;
    if (port.pins.input) {
      *port.pins.tvalid = 0;
    } else {
      *port.pins.tready = 0;
      port.data.clear();
    }
    const double *stall = stall_[port.pins.input];
    port.stall.configure(stall[0], stall[1], seed_ * 1000003 + i);
    remaining_ += port.total();
  }
  for (int i = 0; i < kResetCycles; ++i) {
    dut_->eval();
    clock();
  }
  *dut_->rst_n = 1;
  cycle_ = 0;
  for (Monitor &monitor : monitors_) monitor.reset();
  std::fill(last_progress_.begin(), last_progress_.end(), 0);
}

void Simulation::drive(Port &port) {
  const bool stalled = port.stall.step();
  const Pins &pins = port.pins;
  if (!pins.input) {
    *pins.tready = !stalled;
    return;
  }
  // AXI4-Stream: what is offered stays offered until it is taken.
  if (port.was_blocked) return;
  *pins.tvalid = !stalled && port.done() < port.total();
  if (*pins.tvalid) {
    std::memcpy(pins.tdata, port.data.data() + port.done() % port.stored * pins.bytes, pins.bytes);
    *pins.tlast = (port.done() + 1) % port.beats == 0;
  }
}

void Simulation::sample_output(Port &port) {
  const Pins &pins = port.pins;
  const std::string name = pins.prefix;
  const std::uint64_t beat = port.done();
  if (port.was_blocked) {
    if (!*pins.tvalid) fail(name + "_tvalid fell before " + port.where(beat) + " was taken");
    if (std::memcmp(port.held.data(), pins.tdata, pins.bytes) != 0)
      fail(name + "_tdata changed before " + port.where(beat) + " was taken");
    if (port.held_last != (*pins.tlast != 0)) fail(name + "_tlast changed before " + port.where(beat) + " was taken");
  }
  if (!*pins.tvalid) return;
  if (beat >= port.total())
    fail(name + " gives a beat after the last of its " + std::to_string(port.frames) + " frames");
  const bool last = (beat + 1) % port.beats == 0;
  if (last != (*pins.tlast != 0))
    fail(name + "_tlast is " + (last ? "0" : "1") + " at " + port.where(beat) + ", where frames have " +
         std::to_string(port.beats) + " beats");
  const auto *word = static_cast<const std::uint8_t *>(pins.tdata);
  if (*pins.tready) {
    port.data.insert(port.data.end(), word, word + pins.bytes);
  } else {
    std::memcpy(port.held.data(), word, pins.bytes);
    port.held_last = *pins.tlast != 0;
  }
}

void Simulation::sample(Port &port) {
  const Pins &pins = port.pins;
  if (!pins.input) sample_output(port);
  port.was_blocked = *pins.tvalid && !*pins.tready;
  if (port.done() == port.total()) return;
  if (!*pins.tvalid) {
    ++port.idle;
  } else if (!*pins.tready) {
    ++port.blocked;
  } else {
    ++port.busy;
    --remaining_;
    port.cycles.push_back(static_cast<std::int64_t>(cycle_));
    last_progress_[pins.group] = cycle_;
    port.waiting_since = cycle_ + 1;
  }
}

std::string Simulation::state(const Port &port) const {
  const Pins &pins = port.pins;
  const std::string name = pins.prefix;
  if (port.done() == port.total()) return name + ": all " + std::to_string(port.frames) + " frames passed";
  const std::string since = ", since cycle " + std::to_string(port.waiting_since);
  const std::string at = name + ": " + port.where(port.done());
  if (!*pins.tvalid) return at + (pins.input ? " is yet to be offered" : " is awaited, and " + name + "_tvalid is low") + since;
  return at + " is offered, and " + name + "_tready is low" + since;
}

void Simulation::fail_stalled(std::size_t group) const {
  std::string text = "no beat for " + std::to_string(timeout_) + " cycles; a design that needs longer takes a larger timeout_cycles";
  for (const Port &port : ports_)
    if (port.pins.group == group) text += "\n  " + state(port);
  fail(text);
}

void Simulation::watch() const {
  for (std::size_t group = 0; group < last_progress_.size(); ++group) {
    if (cycle_ - last_progress_[group] < timeout_) continue;
    for (const Port &port : ports_)
      if (port.pins.group == group && port.done() < port.total()) fail_stalled(group);
  }
}

void Simulation::report_progress() const {
  std::uint64_t frames = 0;
  for (const Port &port : ports_)
    if (!port.pins.input) frames += port.done() / port.beats;
  std::cout << "@frames " << frames << std::endl;
}

void Simulation::run() {
  reset();
  std::uint64_t silent = 0;
  std::size_t next_reset = 0;
  while (silent < kDrainCycles) {
    for (Port &port : ports_) drive(port);
    dut_->eval();
    for (Monitor &monitor : monitors_) monitor.sample(cycle_);
    for (Port &port : ports_) sample(port);
    clock();
    if (dut_->failed()) fail("an assertion of the design failed");
    ++cycle_;
    if (dut_->finished()) fail("the design called $finish");
    if (cycle_ % kProgressCycles == 0) report_progress();
    if (next_reset < resets_.size()) {
      if (cycle_ == resets_[next_reset]) {
        reset();
        ++next_reset;
      }
      silent = 0;
    }
    if (remaining_ == 0) {
      ++silent;
    } else {
      watch();
    }
  }
}

void Simulation::save() {
  std::ofstream result(folder_ + "/result.txt");
  for (const Port &port : ports_) {
    const std::string base = folder_ + "/" + port.pins.prefix;
    std::ofstream cycles(base + ".cycles", std::ios::binary);
    cycles.write(reinterpret_cast<const char *>(port.cycles.data()),
                 static_cast<std::streamsize>(port.cycles.size() * sizeof(std::int64_t)));
    if (!port.pins.input) {
      std::ofstream data(base + ".out", std::ios::binary);
      data.write(reinterpret_cast<const char *>(port.data.data()), static_cast<std::streamsize>(port.data.size()));
      if (!data) throw std::runtime_error("cannot write " + base + ".out");
    }
    result << port.pins.prefix << " " << port.busy << " " << port.blocked << " " << port.idle << "\n";
  }
  dut_->save(folder_.c_str());
}

void Simulation::save_monitors() const {
  std::ofstream summary(folder_ + "/monitors.txt");
  for (const Monitor &monitor : monitors_) monitor.save(folder_, summary);
  if (!summary) throw std::runtime_error("cannot write " + folder_ + "/monitors.txt");
}

}  // namespace
}  // namespace gatewright

int main(int argc, char **argv) {
  const std::string folder = argc > 1 ? argv[1] : ".";
  try {
    gatewright::Simulation simulation(folder);
    try {
      simulation.run();
    } catch (...) {
      simulation.save_monitors();
      throw;
    }
    simulation.save_monitors();
    simulation.save();
  } catch (const std::exception &error) {
    std::ofstream(folder + "/error.txt") << error.what();
    return 2;
  }
  return 0;
}
