// SPDX-License-Identifier: Apache-2.0
// A stream inside the design that is watched and not driven: every handshake with its cycle, and the first breach of
// the protocol.
#pragma once

#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "harness.hpp"

namespace gatewright {

class Monitor {
 public:
  explicit Monitor(const Pins &pins) : pins_(pins), held_(pins.bytes) {}

  void reset() {
    data_.clear();
    beats_.clear();
    blocked_ = offered_ = false;
    breach_ = nullptr;
  }

  /// One cycle, from settled pins.
  void sample(std::uint64_t cycle) {
    const auto *word = static_cast<const std::uint8_t *>(pins_.tdata);
    const bool valid = *pins_.tvalid != 0, last = *pins_.tlast != 0;
    if (blocked_ && breach_ == nullptr) check(valid, last, word, cycle);
    if (valid && !offered_) since_ = cycle;
    offered_ = valid;
    blocked_ = valid && *pins_.tready == 0;
    if (blocked_) {
      std::memcpy(held_.data(), word, pins_.bytes);
      held_last_ = last;
    } else if (valid) {
      data_.insert(data_.end(), word, word + pins_.bytes);
      for (const std::uint64_t v : {cycle, since_, std::uint64_t{last}}) beats_.push_back(static_cast<std::int64_t>(v));
      offered_ = false;
    }
  }

  /// Writes PREFIX.words, PREFIX.beats (cycle, cycle in which it was first offered and tlast of each, as int64), and
  /// appends a line to `summary`: prefix, valid and ready in the last cycle, since when it is offered, breach.
  void save(const std::string &folder, std::ostream &summary) const {
    const std::string base = folder + "/" + pins_.prefix;
    std::ofstream words(base + ".words", std::ios::binary), beats(base + ".beats", std::ios::binary);
    words.write(reinterpret_cast<const char *>(data_.data()), static_cast<std::streamsize>(data_.size()));
    beats.write(reinterpret_cast<const char *>(beats_.data()),
                static_cast<std::streamsize>(beats_.size() * sizeof(std::int64_t)));
    summary << pins_.prefix << " " << (*pins_.tvalid != 0) << " " << (*pins_.tready != 0) << " " << since_;
    if (breach_ != nullptr) summary << " " << breach_at_ << " " << breach_;
    summary << "\n";
  }

 private:
  /// AXI4-Stream: what is offered stays offered, as it is, until it is taken.
  void check(bool valid, bool last, const std::uint8_t *word, std::uint64_t cycle) {
    if (!valid) breach_ = "tvalid fell";
    else if (std::memcmp(held_.data(), word, pins_.bytes) != 0) breach_ = "tdata changed";
    else if (held_last_ != last) breach_ = "tlast changed";
    breach_at_ = cycle;
  }

  Pins pins_;
  std::vector<std::uint8_t> data_, held_;
  std::vector<std::int64_t> beats_;
  std::uint64_t since_ = 0, breach_at_ = 0;
  bool offered_ = false, blocked_ = false, held_last_ = false;
  const char *breach_ = nullptr;
};

}  // namespace gatewright
