// SPDX-License-Identifier: Apache-2.0
// The host's side of a kernel's AXI4-Lite port: one access at a time, and what watches that the port keeps the rules.
#pragma once

#include "kernel_axi.hpp"

namespace gatewright {

class Control {
 public:
  explicit Control(const KernelDut &dut)
      : address_bits_(dut.pin(kName + "_araddr").bits), b_(dut, kName + "_b", {"resp"}),
        r_(dut, kName + "_r", {"data", "resp"}) {
    const char *const channels[] = {"_aw", "_w", "_ar"};
    for (std::size_t i = 0; i < 3; ++i) {
      requests_[i].valid = dut.find<std::uint8_t>(kName + channels[i] + "valid");
      requests_[i].ready = dut.find<std::uint8_t>(kName + channels[i] + "ready");
    }
    awaddr_ = dut.find<std::uint8_t>(kName + "_awaddr");
    araddr_ = dut.find<std::uint8_t>(kName + "_araddr");
    wdata_ = dut.find<std::uint32_t>(kName + "_wdata");
    wstrb_ = dut.find<std::uint8_t>(kName + "_wstrb");
    bready_ = dut.find<std::uint8_t>(kName + "_bready");
    rready_ = dut.find<std::uint8_t>(kName + "_rready");
    bresp_ = dut.find<std::uint8_t>(kName + "_bresp");
    rresp_ = dut.find<std::uint8_t>(kName + "_rresp");
    rdata_ = dut.find<std::uint32_t>(kName + "_rdata");
  }

  unsigned address_bits() const { return address_bits_; }
  bool busy() const { return writing_ || reading_; }
  std::uint32_t data() const { return data_; }
  unsigned answer() const { return answer_; }

  void reset(const Share &stalls, std::uint64_t seed) {
    for (std::size_t i = 0; i < 3; ++i) requests_[i].reset(stalls, seed + i);
    answer_stall_.configure(stalls, seed + 3);
    b_.reset();
    r_.reset();
    writing_ = reading_ = false;
    *bready_ = *rready_ = 0;
  }
  void begin_read(std::uint32_t offset) {
    std::memcpy(araddr_, &offset, (address_bits_ + 7) / 8);
    requests_[2].pending = reading_ = true;
  }
  void begin_write(std::uint32_t offset, std::uint32_t value) {
    std::memcpy(awaddr_, &offset, (address_bits_ + 7) / 8);
    *wdata_ = value;
    *wstrb_ = 0xF;
    requests_[0].pending = requests_[1].pending = writing_ = true;
  }
  void drive() {
    for (Request &request : requests_) request.drive();
    *bready_ = *rready_ = !answer_stall_.step();
  }
  void sample(std::uint64_t now) {
    const bool written = writing_ && !requests_[0].pending && !requests_[1].pending;
    const bool asked = reading_ && !requests_[2].pending;
    if (b_.valid() && !written) throw std::runtime_error(kName + "_bvalid is high, and no write waits for an answer");
    if (r_.valid() && !asked) throw std::runtime_error(kName + "_rvalid is high, and no read waits for an answer");
    if (b_.sample(*bready_ != 0, now)) {
      writing_ = false;
      answer_ = *bresp_;
    }
    if (r_.sample(*rready_ != 0, now)) {
      reading_ = false;
      answer_ = *rresp_;
      data_ = *rdata_;
    }
    for (Request &request : requests_) request.sample();
  }

 private:
  /// A channel on which the host offers something.
  struct Request {
    std::uint8_t *valid = nullptr;
    const std::uint8_t *ready = nullptr;
    bool pending = false;
    Stall stall;

    void reset(const Share &stalls, std::uint64_t seed) {
      pending = false;
      *valid = 0;
      stall.configure(stalls, seed);
    }
    void drive() {
      const bool stalled = stall.step();
      *valid = pending && (*valid || !stalled);
    }
    void sample() {
      if (*valid && *ready) pending = false;
    }
  };
  inline static const std::string kName = "s_axi_control";
  Request requests_[3];
  unsigned address_bits_ = 0, answer_ = 0;
  Offer b_, r_;
  std::uint8_t *awaddr_, *araddr_, *wstrb_, *bready_, *rready_;
  std::uint32_t *wdata_;
  const std::uint8_t *bresp_, *rresp_;
  const std::uint32_t *rdata_;
  std::uint32_t data_ = 0;
  Stall answer_stall_;
  bool writing_ = false, reading_ = false;
};

}  // namespace gatewright
