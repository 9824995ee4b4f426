// SPDX-License-Identifier: Apache-2.0
// Memory as a kernel's AXI4 masters meet it: a read port, a write port, and what watches that masters keep the rules.
// All throw std::runtime_error where one is broken.
#pragma once

#include <cstring>
#include <deque>
#include <sstream>

#include "kernel_dut.hpp"
#include "kernel_memory.hpp"

namespace gatewright {

constexpr std::uint64_t kPage = 4096;
/// What stands on a channel that offers nothing, and in words that could not be read.
constexpr std::uint8_t kJunk = 0xEE;
/// Cycles that data of a write may wait for its address, where nothing else holds the address back.
constexpr std::uint64_t kOrphan = 1000;

inline std::string hex(std::uint64_t value) {
  std::ostringstream text;
  text << "0x" << std::hex << value;
  return text.str();
}

/// A channel on which the kernel offers something: what is offered stays, as it is, until it is taken.
class Offer {
 public:
  Offer(const KernelDut &dut, const std::string &channel, const std::vector<std::string> &fields)
      : name_(channel), valid_(dut.find<std::uint8_t>(channel + "valid")) {
    for (const std::string &field : fields) {
      const Pin &pin = dut.pin(channel + field);
      fields_.push_back({pin.name, static_cast<const std::uint8_t *>(pin.data), (pin.bits + 7) / 8, bytes_});
      bytes_ += fields_.back().bytes;
    }
    held_.resize(bytes_);
  }
  bool valid() const { return *valid_ != 0; }
  void reset() { blocked_ = false; }
  /// One cycle, from settled pins: whether something is handed over.
  bool sample(bool ready, std::uint64_t now) {
    if (blocked_) check();
    const bool offered = valid();
    if (offered && !ready && !blocked_) {
      since_ = now;
      for (const Field &field : fields_) std::memcpy(held_.data() + field.place, field.data, field.bytes);
    }
    blocked_ = offered && !ready;
    return offered && ready;
  }
  /// Cycles that something waits to be taken.
  std::uint64_t waiting(std::uint64_t now) const { return blocked_ ? now - since_ : 0; }

 private:
  struct Field {
    std::string name;
    const std::uint8_t *data;
    std::size_t bytes, place;
  };
  void check() const {
    const std::string since = " before it was taken, offered since cycle " + std::to_string(since_);
    if (!valid()) throw std::runtime_error(name_ + "valid fell" + since);
    for (const Field &field : fields_)
      if (std::memcmp(held_.data() + field.place, field.data, field.bytes) != 0)
        throw std::runtime_error(field.name + " changed" + since);
  }
  std::string name_;
  const std::uint8_t *valid_;
  std::vector<Field> fields_;
  std::vector<std::uint8_t> held_;
  std::size_t bytes_ = 0;
  std::uint64_t since_ = 0;
  bool blocked_ = false;
};

/// What a port did since the reset.
struct Counts {
  std::uint64_t bursts = 0, beats = 0, errors = 0;
};

/// What read and write ports share: addresses in, bursts that wait for their turn.
class Port {
 public:
  Counts counts;

  Port(const KernelDut &dut, const std::string &name, int index, bool read, Memory &memory)
      : name_(name), memory_(memory), index_(index), read_(read), prefix_(name + (read ? "_ar" : "_aw")),
        address_offer_(dut, prefix_, {"addr", "len", "size", "burst"}),
        ready_(dut.find<std::uint8_t>(prefix_ + "ready")),
        address_(dut.find<std::uint64_t>(prefix_ + "addr")),
        len_(dut.find<std::uint8_t>(prefix_ + "len")), size_(dut.find<std::uint8_t>(prefix_ + "size")),
        burst_(dut.find<std::uint8_t>(prefix_ + "burst")),
        word_(dut.pin(name + (read ? "_rdata" : "_wdata")).bits / 8) {}

  const std::string &name() const { return name_; }
  std::size_t waiting() const { return bursts_.size(); }
  bool offers() const { return address_offer_.valid(); }
  /// Memory that stopped answering answers again.
  void wake() {
    for (Burst &burst : bursts_)
      if (burst.answer == kSilence) burst.answer = kOkay;
  }

 protected:
  void reset_addresses(const Share &stalls, std::uint64_t seed) {
    counts = {};
    bursts_.clear();
    address_offer_.reset();
    *ready_ = 0;
    address_stall_.configure(stalls, seed);
    pace_.configure(memory_.bytes_per_cycle, word_);
  }
  void drive_address() { *ready_ = !address_stall_.step() && bursts_.size() < memory_.outstanding; }
  /// Takes an address, if one is handed over.
  void sample_address(std::uint64_t now) {
    if (!address_offer_.sample(*ready_ != 0, now)) return;
    Burst burst;
    burst.address = *address_;
    burst.beats = *len_ + 1U;
    burst.ready = now + memory_.latency;
    const std::uint64_t bytes = std::uint64_t{burst.beats} * word_;
    check(burst, bytes);
    memory_.strike(burst, read_, index_, burst.address + (bytes - 1));
    bursts_.push_back(burst);
    ++counts.bursts;
  }
  Answer unless_outside(std::uint64_t address) const { return memory_.holds(address, word_) ? kOkay : kDecerr; }
  std::string text(const Burst &burst) const {
    return prefix_ + ": a burst of " + std::to_string(burst.beats) + " beats of " + std::to_string(word_) +
           " bytes from " + hex(burst.address);
  }

  std::string name_;
  Memory &memory_;
  int index_;
  bool read_;
  std::string prefix_;
  Offer address_offer_;
  std::uint8_t *ready_;
  const std::uint64_t *address_;
  const std::uint8_t *len_, *size_, *burst_;
  unsigned word_;
  std::deque<Burst> bursts_;
  Stall address_stall_;
  Pace pace_;

 private:
  void check(const Burst &burst, std::uint64_t bytes) const {
    const std::string what = text(burst);
    if (*burst_ != 1) throw std::runtime_error(what + " has burst type " + std::to_string(*burst_) + ", not INCR (1)");
    if ((1U << *size_) != word_)
      throw std::runtime_error(what + " has beats of " + std::to_string(1U << *size_) + " bytes");
    if (burst.address % word_ != 0) throw std::runtime_error(what + ", which is no multiple of them");
    if (burst.address % kPage + bytes > kPage)
      throw std::runtime_error(what + " crosses the 4 KiB boundary at " + hex((burst.address / kPage + 1) * kPage));
  }
};

class ReadPort final : public Port {
 public:
  ReadPort(const KernelDut &dut, const std::string &name, int index, Memory &memory)
      : Port(dut, name, index, true, memory), rvalid_(dut.find<std::uint8_t>(name + "_rvalid")),
        rready_(dut.find<std::uint8_t>(name + "_rready")), rlast_(dut.find<std::uint8_t>(name + "_rlast")),
        rresp_(dut.find<std::uint8_t>(name + "_rresp")), rdata_(dut.find<std::uint8_t>(name + "_rdata")) {}

  void reset(const Share &addresses, const Share &data, std::uint64_t seed) {
    reset_addresses(addresses, seed);
    stall_.configure(data, seed + 1);
    idle();
  }
  void drive(std::uint64_t now) {
    drive_address();
    const bool stalled = stall_.step();
    if (taken_) idle();
    if (*rvalid_) return;
    if (bursts_.empty() || stalled || now < bursts_.front().ready || !pace_.free(now)) return;
    const Burst &burst = bursts_.front();
    if (burst.answer == kSilence) return;
    const std::uint64_t address = burst.address + std::uint64_t{burst.done} * word_;
    const Answer resp = answer(burst, address);
    if (resp == kOkay) std::memcpy(rdata_, memory_.at(address), word_);
    else ++counts.errors;
    *rresp_ = resp;
    *rlast_ = burst.done + 1 == burst.beats;
    *rvalid_ = 1;
    pace_.spend(now);
  }
  void sample(std::uint64_t now) {
    taken_ = *rvalid_ && *rready_;
    if (taken_) {
      ++counts.beats;
      if (++bursts_.front().done == bursts_.front().beats) bursts_.pop_front();
    }
    sample_address(now);
  }

 private:
  /// A master that looks without being asked to finds nothing of use.
  void idle() {
    taken_ = false;
    *rvalid_ = 0;
    *rlast_ = 1;
    *rresp_ = kDecerr;
    std::memset(rdata_, kJunk, word_);
  }
  /// What one beat of a burst is answered with.
  Answer answer(const Burst &burst, std::uint64_t address) const {
    const bool touched = address <= burst.last && address + (word_ - 1) >= burst.first;
    return touched && burst.answer != kOkay && burst.answer != kSilence ? burst.answer : unless_outside(address);
  }
  std::uint8_t *rvalid_, *rready_, *rlast_, *rresp_, *rdata_;
  Stall stall_;
  bool taken_ = false;
};

class WritePort final : public Port {
 public:
  WritePort(const KernelDut &dut, const std::string &name, int index, Memory &memory)
      : Port(dut, name, index, false, memory), data_offer_(dut, name + "_w", {"data", "strb", "last"}),
        wready_(dut.find<std::uint8_t>(name + "_wready")), bvalid_(dut.find<std::uint8_t>(name + "_bvalid")),
        bready_(dut.find<std::uint8_t>(name + "_bready")), bresp_(dut.find<std::uint8_t>(name + "_bresp")),
        wlast_(dut.find<std::uint8_t>(name + "_wlast")), wdata_(dut.find<std::uint8_t>(name + "_wdata")),
        wstrb_(dut.find<std::uint8_t>(name + "_wstrb")) {}

  bool offers_data() const { return data_offer_.valid(); }
  void reset(const Share &addresses, const Share &data, const Share &answers, std::uint64_t seed) {
    reset_addresses(addresses, seed);
    data_offer_.reset();
    data_stall_.configure(data, seed + 1);
    answer_stall_.configure(answers, seed + 2);
    *wready_ = 0;
    filled_ = 0;
    idle();
  }
  void drive(std::uint64_t now) {
    drive_address();
    *wready_ = !data_stall_.step() && filled_ < bursts_.size() && pace_.free(now);
    const bool stalled = answer_stall_.step();
    if (taken_) idle();
    if (*bvalid_ || filled_ == 0 || stalled || now < bursts_.front().ready) return;
    if (bursts_.front().answer == kSilence) return;
    *bresp_ = answer(bursts_.front());
    if (*bresp_ != kOkay) ++counts.errors;
    *bvalid_ = 1;
  }
  void sample(std::uint64_t now) {
    taken_ = *bvalid_ && *bready_;
    if (taken_) {
      bursts_.pop_front();
      --filled_;
    }
    if (data_offer_.sample(*wready_ != 0, now)) take(now);
    if (filled_ == bursts_.size() && !offers() && data_offer_.waiting(now) > kOrphan)
      throw std::runtime_error(name_ + "_w: data was offered " + std::to_string(kOrphan) +
                               " cycles ago, and all bursts that were asked for have theirs");
    sample_address(now);
  }

 private:
  void idle() {
    taken_ = false;
    *bvalid_ = 0;
    *bresp_ = kDecerr;
  }
  /// Of all its beats: memory has whole pages, and a burst lies in one. One that fails writes nothing.
  Answer answer(const Burst &burst) const {
    return burst.answer != kOkay && burst.answer != kSilence ? burst.answer : unless_outside(burst.address);
  }
  void take(std::uint64_t now) {
    Burst &burst = bursts_[filled_];
    const std::uint64_t address = burst.address + std::uint64_t{burst.done} * word_;
    const bool last = burst.done + 1 == burst.beats;
    if (last != (*wlast_ != 0))
      throw std::runtime_error(name_ + "_wlast is " + (last ? "0" : "1") + " at beat " + std::to_string(burst.done) +
                               " of" + text(burst).substr(prefix_.size() + 1));
    if (answer(burst) == kOkay) store(address);
    pace_.spend(now);
    ++counts.beats;
    ++burst.done;
    if (!last) return;
    burst.ready = now + memory_.latency;
    ++filled_;
  }
  void store(std::uint64_t address) {
    std::uint8_t *to = memory_.at(address);
    for (unsigned i = 0; i < word_; i += 8) {
      const unsigned count = std::min(8U, word_ - i), strobe = wstrb_[i / 8] & ((1U << count) - 1);
      if (strobe == (1U << count) - 1) {
        std::memcpy(to + i, wdata_ + i, count);
        continue;
      }
      for (unsigned k = 0; k < count; ++k)
        if (strobe >> k & 1) to[i + k] = wdata_[i + k];
    }
  }
  Offer data_offer_;
  std::uint8_t *wready_, *bvalid_, *bready_, *bresp_;
  const std::uint8_t *wlast_, *wdata_, *wstrb_;
  Stall data_stall_, answer_stall_;
  std::size_t filled_ = 0;
  bool taken_ = false;
};

}  // namespace gatewright
