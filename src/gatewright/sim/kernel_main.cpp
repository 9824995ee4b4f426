// SPDX-License-Identifier: Apache-2.0
// Runs a kernel on commands: `kernel FD BYTES` maps device memory from a file that it inherits, reads a command a
// line from standard input and answers each with a line on standard output: `ok CYCLE [VALUE...]`, `refused CYCLE
// TEXT` where the kernel answered an access with an error, or `failed TEXT`, with which it ends. Its own and the
// design's messages go to standard error.
//
//   seed N                                        of all that is random; the kernel is made with it
//   memory BASE LATENCY BYTES_PER_CYCLE BURSTS    what is behind the masters; BURSTS wait at a port
//   stall CHANNEL SHARE BURST                     of ar, r, aw, w, b or control
//   reset                                         also before the first access
//   r OFFSET | w OFFSET VALUE                     a register
//   wait CYCLES                                   until done or idle, 1, or so many cycles have passed, 0
//   fault ANSWER RW FIRST LAST SKIP COUNT PORT    see Fault; RW is 1 for reads, 2 for writes, 3 for both
//   mend                                          no more faults, and what was not answered is
//   spoilt                                        bursts that faults met since the reset: port, whether a read, answer,
//                                                 first and last byte
//   counts                                        bursts, beats and error answers of each port; the interrupt last
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>

#include "kernel_control.hpp"

namespace gatewright {
namespace {

constexpr int kResetCycles = 16;
constexpr std::uint64_t kPatience = 10000;  // cycles that an access may take
constexpr std::uint64_t kPollCycles = 32;   // between looks at whether the kernel is done
constexpr std::uint64_t kLookCycles = 1 << 14;  // between looks at whether anybody still listens
constexpr std::uint32_t kDone = 1 << 1, kIdle = 1 << 2, kReady = 1 << 3;

/// An access that the kernel answered with an error.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An output of which AXI wants that no input reaches it within a cycle.
struct Registered {
  const Pin *pin;
  std::uint8_t before;
};

class Simulation {
 public:
  Simulation(int file, std::uint64_t bytes) {
    memory_.bytes = bytes;
    void *data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (data == MAP_FAILED) throw std::runtime_error("cannot map " + std::to_string(bytes) + " bytes of device memory");
    memory_.data = static_cast<std::uint8_t *>(data);
  }
  /// The answer to a command.
  std::string execute(const std::string &line);
  std::uint64_t cycle() const { return cycle_; }

 private:
  void create();
  void reset();
  void clock();
  void step();
  void run(std::uint64_t end);
  void finish_access(const std::string &what);
  std::uint32_t read(std::uint32_t offset);
  void write(std::uint32_t offset, std::uint32_t value);
  bool wait(std::uint64_t end);
  void check_rest() const;
  void add_fault(std::istream &words);
  std::string counts() const;

  Memory memory_;
  std::unique_ptr<KernelDut> dut_;
  std::unique_ptr<Control> control_;
  std::vector<ReadPort> reads_;
  std::vector<WritePort> writes_;
  std::vector<Registered> registered_;
  std::map<std::string, Share> stalls_;
  std::uint8_t *clk_ = nullptr, *rst_n_ = nullptr, *interrupt_ = nullptr;
  std::uint64_t cycle_ = 0, seed_ = 1;
  std::uint32_t seen_ = 0;  // bits that were cleared by a look of ours, for the host's next read
};

/// Makes the kernel, and finds its ports by the names of their pins.
void Simulation::create() {
  dut_ = make_kernel(static_cast<int>(seed_));
  clk_ = dut_->find<std::uint8_t>("ap_clk");
  rst_n_ = dut_->find<std::uint8_t>("ap_rst_n");
  interrupt_ = dut_->find<std::uint8_t>("interrupt");
  control_ = std::make_unique<Control>(*dut_);
  for (const Pin &pin : dut_->pins) {
    const std::string name = pin.name, prefix = name.substr(0, name.rfind('_'));
    const auto ends = [&](const std::string &tail) {
      return name.size() > tail.size() && name.compare(name.size() - tail.size(), tail.size(), tail) == 0;
    };
    if (!pin.input && (ends("valid") || ends("ready"))) registered_.push_back({&pin, 0});
    if (name.compare(0, 10, "m_axi_gmem") != 0) continue;
    const int index = std::atoi(name.c_str() + 10);
    if (ends("_arvalid")) reads_.emplace_back(*dut_, prefix, index, memory_);
    if (ends("_awvalid")) writes_.emplace_back(*dut_, prefix, index, memory_);
  }
}

void Simulation::reset() {
  if (dut_ == nullptr) create();
  std::uint64_t seed = seed_ * 1000003;
  for (ReadPort &port : reads_) port.reset(stalls_["ar"], stalls_["r"], seed += 8);
  for (WritePort &port : writes_) port.reset(stalls_["aw"], stalls_["w"], stalls_["b"], seed += 8);
  control_->reset(stalls_["control"], seed += 8);
  *clk_ = *rst_n_ = 0;
  seen_ = 0;
  memory_.spoilt.clear();
  for (int i = 0; i < kResetCycles; ++i) {
    dut_->eval();
    clock();
  }
  dut_->eval();
  for (const Registered &output : registered_) {
    const std::string name = output.pin->name;
    if (name.compare(name.size() - 5, 5, "valid") == 0 && *static_cast<std::uint8_t *>(output.pin->data))
      throw std::runtime_error(name + " is high while the kernel is reset");
  }
  *rst_n_ = 1;
  cycle_ = 0;
}

/// One clock period, from settled pins.
void Simulation::clock() {
  dut_->advance();
  *clk_ = 1;
  dut_->eval();
  dut_->advance();
  *clk_ = 0;
  for (Registered &output : registered_) output.before = *static_cast<std::uint8_t *>(output.pin->data);
}

void Simulation::step() {
  const bool first = cycle_ == 0;  // the end of the reset is an input that may reach an output
  for (ReadPort &port : reads_) port.drive(cycle_);
  for (WritePort &port : writes_) port.drive(cycle_);
  control_->drive();
  dut_->eval();
  for (const Registered &output : registered_)
    if (!first && output.before != *static_cast<std::uint8_t *>(output.pin->data))
      throw std::runtime_error(std::string(output.pin->name) +
                               " follows an input within the cycle: AXI wants a register between them");
  for (ReadPort &port : reads_) port.sample(cycle_);
  for (WritePort &port : writes_) port.sample(cycle_);
  control_->sample(cycle_);
  clock();
  if (dut_->failed()) throw std::runtime_error("an assertion of the design failed");
  if (dut_->finished()) throw std::runtime_error("the design called $finish");
  ++cycle_;
}

void Simulation::run(std::uint64_t end) {
  while (cycle_ < end) {
    step();
    if (cycle_ % kLookCycles != 0) continue;
    pollfd input{STDIN_FILENO, 0, 0};
    if (poll(&input, 1, 0) > 0 && (input.revents & (POLLHUP | POLLERR))) std::exit(0);
  }
}

void Simulation::finish_access(const std::string &what) {
  const std::uint64_t end = cycle_ + kPatience;
  while (control_->busy()) {
    if (cycle_ >= end) throw std::runtime_error("no answer to " + what + " for " + std::to_string(kPatience) + " cycles");
    step();
  }
  if (control_->answer() != kOkay)
    throw Refused(what + " is answered with " + (control_->answer() == kSlverr ? "SLVERR" : "DECERR"));
}

std::uint32_t Simulation::read(std::uint32_t offset) {
  control_->begin_read(offset);
  finish_access("a read of " + hex(offset));
  return control_->data();
}

void Simulation::write(std::uint32_t offset, std::uint32_t value) {
  control_->begin_write(offset, value);
  finish_access("a write to " + hex(offset));
}

/// Until done or idle. A look clears what the host wants to see: it is kept for the host's next read.
bool Simulation::wait(std::uint64_t end) {
  while (true) {
    const std::uint32_t control = read(0);
    seen_ |= control & (kDone | kReady);
    if ((control & kDone) || (control & kIdle)) {
      check_rest();
      return true;
    }
    if (cycle_ >= end) return false;
    run(std::min(end, cycle_ + kPollCycles));
  }
}

/// A kernel that is done has all its answers.
void Simulation::check_rest() const {
  const auto check = [&](const Port &port, bool offers, const char *what) {
    if (port.waiting() != 0 || offers)
      throw std::runtime_error("the kernel is done, and " + port.name() + " still has " + what + " under way");
  };
  for (const ReadPort &port : reads_) check(port, port.offers(), "reads");
  for (const WritePort &port : writes_) check(port, port.offers() || port.offers_data(), "writes");
}

void Simulation::add_fault(std::istream &words) {
  unsigned answer = 0, directions = 0;
  Fault fault;
  words >> answer >> directions >> fault.first >> fault.last >> fault.skip >> fault.count >> fault.port;
  fault.answer = static_cast<Answer>(answer);
  fault.read = (directions & 1) != 0;
  fault.write = (directions & 2) != 0;
  memory_.faults.push_back(fault);
}

std::string Simulation::counts() const {
  std::ostringstream text;
  const auto add = [&](const Port &port) {
    text << " " << port.name() << " " << port.counts.bursts << " " << port.counts.beats << " " << port.counts.errors;
  };
  for (const ReadPort &port : reads_) add(port);
  for (const WritePort &port : writes_) add(port);
  text << " " << (*interrupt_ != 0);
  return text.str();
}

std::string Simulation::execute(const std::string &line) {
  std::istringstream words(line);
  std::string key, channel;
  words >> key;
  std::uint64_t first = 0, second = 0;
  std::string answer;
  if (key == "seed") {
    words >> seed_;
  } else if (key == "memory") {
    words >> memory_.base >> memory_.latency >> memory_.bytes_per_cycle >> memory_.outstanding;
  } else if (key == "stall") {
    words >> channel;
    words >> stalls_[channel].share >> stalls_[channel].burst;
  } else if (key == "reset") {
    reset();
  } else if (key == "r") {
    words >> first;
    std::uint32_t value = read(static_cast<std::uint32_t>(first));
    if (first == 0) {
      value |= seen_;
      seen_ = 0;
    }
    answer = " " + std::to_string(value);
  } else if (key == "w") {
    words >> first >> second;
    write(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(second));
  } else if (key == "wait") {
    words >> first;
    answer = wait(cycle_ + first) ? " 1" : " 0";
  } else if (key == "fault") {
    add_fault(words);
  } else if (key == "mend") {
    memory_.faults.clear();
    for (ReadPort &port : reads_) port.wake();
    for (WritePort &port : writes_) port.wake();
  } else if (key == "spoilt") {
    std::ostringstream text;
    for (const Spoilt &burst : memory_.spoilt)
      text << " " << burst.port << " " << burst.read << " " << unsigned{burst.answer} << " " << burst.address << " "
           << burst.end;
    answer = text.str();
  } else if (key == "counts") {
    answer = counts();
  } else {
    throw std::runtime_error("unknown command " + line);
  }
  if (!words) throw std::runtime_error("cannot read the command " + line);
  return "ok " + std::to_string(cycle_) + answer;
}

}  // namespace
}  // namespace gatewright

int main(int argc, char **argv) {
  // Whatever the design prints goes to standard error: standard output is for answers.
  const int answers = dup(STDOUT_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  const auto say = [&](std::string text) {
    for (char &c : text)
      if (c == '\n') c = ' ';
    text += '\n';
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t written = write(answers, text.data() + done, text.size() - done);
      if (written < 0) std::exit(0);
      done += static_cast<std::size_t>(written);
    }
  };
  std::unique_ptr<gatewright::Simulation> simulation;
  try {
    if (argc != 3) throw std::runtime_error("need a file and its bytes");
    simulation = std::make_unique<gatewright::Simulation>(std::atoi(argv[1]), std::strtoull(argv[2], nullptr, 10));
    std::string line;
    while (std::getline(std::cin, line)) {
      std::string answer;
      try {
        answer = simulation->execute(line);
      } catch (const gatewright::Refused &error) {
        answer = "refused " + std::to_string(simulation->cycle()) + " " + error.what();
      }
      std::cout << std::flush;
      say(answer);
    }
  } catch (const std::exception &error) {
    const std::string at = simulation == nullptr ? "" : "cycle " + std::to_string(simulation->cycle()) + ": ";
    say("failed " + at + error.what());
    return 2;
  }
  return 0;
}
