// SPDX-License-Identifier: Apache-2.0
// Runs a board whose only way in is a UART: `uart CLOCK RECEIVES SENDS RESET LEDS CLOCKS FD` wires the pins RECEIVES and
// SENDS of the top level (the FPGA's side) bit by bit, CLOCKS clocks each, to the pseudo-terminal that it inherits as
// FD. CLOCK is the name of the clock's pin, RESET:BIT that of a button, LEDS that of the lights.
//
// It runs as fast as it can while bytes are under way or the design is busy, and sleeps otherwise: then nothing but a
// counter that blinks would change. The pins whose names begin with busy_ say whether it is, those with idle_ whether
// it is not. It ends with its standard input. A line there is a command, answered with a line: `ok CYCLE LEDS`.
//
//   look     where it is
//   reset    presses the button for some clocks, until the reset is over
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>

#include "kernel_dut.hpp"

namespace gatewright {
namespace {

constexpr int kPressClocks = 100;
constexpr int kSettleClocks = 4096;  // after a reset: the board's own lasts for a part of it
constexpr std::uint64_t kLookClocks = 256;  // between looks at what comes in

std::uint64_t value(const Pin &pin) {
  std::uint64_t read = 0;
  std::memcpy(&read, pin.data, pin.bits > 32 ? 8 : pin.bits > 16 ? 4 : pin.bits > 8 ? 2 : 1);
  return read;
}

/// The host's half of the UART, a clock at a time.
class Host {
 public:
  explicit Host(int clocks) : clocks_(clocks) {}
  std::deque<std::uint8_t> to_send;
  bool busy() const { return sending_ || receiving_ || !to_send.empty(); }

  /// The level of the line to the board.
  bool drive() {
    if (sending_ == 0) {
      if (to_send.empty()) return true;
      bits_ = to_send.front() << 1 | 1 << 9;  // start bit, byte, stop bit
      to_send.pop_front();
      sending_ = 10 * clocks_;
    }
    const bool level = bits_ >> (10 * clocks_ - sending_) / clocks_ & 1;
    --sending_;
    return level;
  }
  /// Takes the level of the line from the board; a byte when it is over, or -1. One without a stop bit is lost.
  int sample(bool level) {
    if (!receiving_) {
      receiving_ = before_ && !level;
      place_ = 0;
    }
    before_ = level;
    if (!receiving_) return -1;
    const int bit = place_ / clocks_;
    const bool middle = place_++ % clocks_ == clocks_ / 2;
    if (!middle) return -1;
    if (bit == 0) {
      receiving_ = !level;
      byte_ = 0;
    } else if (bit <= 8) {
      byte_ |= level << (bit - 1);
    } else {
      receiving_ = false;
      if (level) return byte_;
    }
    return -1;
  }

 private:
  int clocks_, sending_ = 0, bits_ = 0, place_ = 0, byte_ = 0;
  bool receiving_ = false, before_ = true;
};

class Board {
 public:
  Board(char **arguments) : dut_(make_kernel(1)), host_(std::atoi(arguments[5])), terminal_(std::atoi(arguments[6])) {
    clock_ = dut_->find<std::uint8_t>(arguments[0]);
    to_board_ = dut_->find<std::uint8_t>(arguments[1]);
    from_board_ = dut_->find<std::uint8_t>(arguments[2]);
    const std::string reset = arguments[3];
    button_ = dut_->find<std::uint8_t>(reset.substr(0, reset.find(':')));
    button_bit_ = 1 << std::atoi(reset.c_str() + reset.find(':') + 1);
    lights_ = &dut_->pin(arguments[4]);
    for (const Pin &pin : dut_->pins) {
      if (std::strncmp(pin.name, "busy_", 5) == 0) busy_.push_back(pin);
      if (std::strncmp(pin.name, "idle_", 5) == 0) idle_.push_back(pin);
    }
    fcntl(terminal_, F_SETFL, fcntl(terminal_, F_GETFL) | O_NONBLOCK);
    *to_board_ = 1;
    press();
  }

  /// Until it is time to look at what comes in.
  void run() {
    for (std::uint64_t i = 0; i < kLookClocks; ++i) step();
  }
  bool rests() const {
    const auto high = [](const Pin &pin) { return value(pin) != 0; };
    return !host_.busy() && std::none_of(busy_.begin(), busy_.end(), high) &&
           std::all_of(idle_.begin(), idle_.end(), high);
  }
  /// Takes what the host has written.
  void listen() {
    std::uint8_t bytes[256];
    if (!host_.to_send.empty()) return;
    const ssize_t count = read(terminal_, bytes, sizeof bytes);
    if (count > 0) host_.to_send.insert(host_.to_send.end(), bytes, bytes + count);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) std::exit(0);
  }
  /// Presses the button, and lets the design come out of its reset; what comes meanwhile on either line is lost.
  void press() {
    pressed_ = kPressClocks;
    for (settle_ = kSettleClocks; settle_ > 0; --settle_) step();
  }
  std::string look() const { return "ok " + std::to_string(cycle_) + " " + std::to_string(value(*lights_)); }
  int terminal() const { return terminal_; }

 private:
  void step() {
    *button_ = pressed_ > 0 ? button_bit_ : 0;
    if (pressed_ > 0) --pressed_;
    *to_board_ = host_.drive();
    *clock_ = 1;
    dut_->eval();
    dut_->advance();
    *clock_ = 0;
    dut_->eval();
    dut_->advance();
    if (dut_->failed()) throw std::runtime_error("an assertion of the design failed");
    ++cycle_;
    const int byte = host_.sample(settle_ > 0 || (*from_board_ & 1) != 0);
    if (byte < 0) return;
    const std::uint8_t sent = static_cast<std::uint8_t>(byte);
    // A host that does not read loses bytes, as at a real port.
    if (write(terminal_, &sent, 1) < 0 && errno != EAGAIN) std::exit(0);
  }

  std::unique_ptr<KernelDut> dut_;
  Host host_;
  int terminal_, pressed_ = 0, settle_ = 0, button_bit_;
  std::uint8_t *clock_, *to_board_, *from_board_, *button_;
  const Pin *lights_;
  std::vector<Pin> busy_, idle_;
  std::uint64_t cycle_ = 0;
};

/// Answers what has come on standard input; ends with it.
void serve(Board &board, int answers, std::string &pending) {
  char text[256];
  const ssize_t count = read(STDIN_FILENO, text, sizeof text);
  if (count <= 0) std::exit(0);
  pending.append(text, static_cast<std::size_t>(count));
  for (std::size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
    if (pending.compare(0, end, "reset") == 0) board.press();
    const std::string answer = board.look() + "\n";
    if (write(answers, answer.data(), answer.size()) < 0) std::exit(0);
  }
}

}  // namespace
}  // namespace gatewright

int main(int argc, char **argv) {
  // Whatever the design prints goes to standard error: standard output is for answers.
  const int answers = dup(STDOUT_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  try {
    if (argc != 8) throw std::runtime_error("need the names of five pins, clocks of a bit, and a file");
    gatewright::Board board(argv + 1);
    std::string pending;
    while (true) {
      const bool rests = board.rests();
      pollfd inputs[] = {{STDIN_FILENO, POLLIN, 0}, {board.terminal(), POLLIN, 0}};
      if (poll(inputs, 2, rests ? -1 : 0) < 0 && errno != EINTR) throw std::runtime_error("cannot wait for input");
      if (inputs[0].revents != 0) gatewright::serve(board, answers, pending);
      if (inputs[1].revents != 0) board.listen();
      if (!board.rests()) board.run();
    }
  } catch (const std::exception &error) {
    std::cerr << error.what() << std::endl;
    return 2;
  }
}
