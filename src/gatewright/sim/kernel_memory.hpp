// SPDX-License-Identifier: Apache-2.0
// Device memory behind a kernel's masters: its bytes, how long it takes, and where it is told to fail.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace gatewright {

/// How often a channel is stalled: a share of all cycles, `burst` of them on average at a time.
struct Share {
  double share = 0, burst = 1;
};

/// Random stretches of stalled and free cycles; lengths are drawn once a stretch, so that a cycle costs a decrement.
class Stall {
 public:
  void configure(const Share &wanted, std::uint64_t seed) {
    active_ = wanted.share > 0;
    if (!active_) return;
    rng_.seed(seed);
    mean_[1] = wanted.burst;
    mean_[0] = wanted.burst * (1 - wanted.share) / wanted.share;
    stalled_ = std::uniform_real_distribution<double>(0, 1)(rng_) < wanted.share;
    left_ = draw();
  }
  bool step() {
    if (!active_) return false;
    if (left_ == 0) {
      stalled_ = !stalled_;
      left_ = draw();
    }
    --left_;
    return stalled_;
  }

 private:
  std::uint64_t draw() {
    const double mean = mean_[stalled_];
    return mean <= 1 ? 1 : 1 + std::geometric_distribution<std::uint64_t>(1 / mean)(rng_);
  }
  std::mt19937_64 rng_;
  double mean_[2] = {1, 1};
  std::uint64_t left_ = 0;
  bool active_ = false, stalled_ = false;
};

/// Lets words of a port pass no faster than memory moves bytes, on average and without saving up for later.
class Pace {
 public:
  /// `bytes_per_cycle` of 0 is no limit.
  void configure(double bytes_per_cycle, unsigned word_bytes) {
    interval_ = bytes_per_cycle > 0 && bytes_per_cycle < word_bytes
                    ? static_cast<std::uint64_t>(word_bytes / bytes_per_cycle * kUnit)
                    : 0;
    next_ = 0;
  }
  bool free(std::uint64_t now) const { return next_ <= now * kUnit; }
  void spend(std::uint64_t now) {
    if (interval_ == 0) return;
    const bool paused = next_ + kUnit <= now * kUnit;  // else only the part of a cycle that it had to wait is kept
    next_ = (paused ? now * kUnit : next_) + interval_;
  }

 private:
  static constexpr std::uint64_t kUnit = 1 << 16;
  std::uint64_t interval_ = 0, next_ = 0;
};

/// What a burst or a beat is answered with: the codes of RRESP and BRESP, or nothing at all.
enum Answer : std::uint8_t { kOkay = 0, kSlverr = 2, kDecerr = 3, kSilence = 4 };

/// Bursts that go wrong: of reads or writes (or both) that touch addresses first..last, of one port or (-1) of all;
/// the first `skip` of them pass, and then `count` fail.
struct Fault {
  Answer answer = kSlverr;
  bool read = false, write = false;
  std::uint64_t first = 0, last = ~std::uint64_t{0}, skip = 0, count = 0;
  int port = -1;
};

/// A burst that was accepted, and what its beats are answered with where they touch first..last.
struct Burst {
  std::uint64_t address = 0, ready = 0;
  unsigned beats = 0, done = 0;
  Answer answer = kOkay;
  std::uint64_t first = 1, last = 0;
};

/// A burst that a fault spoilt.
struct Spoilt {
  int port;
  bool read;
  Answer answer;
  std::uint64_t address, end;  // of its first and its last byte
};
/// Of so many, notes are kept.
constexpr std::size_t kMostSpoilt = 1000;

struct Memory {
  std::uint8_t *data = nullptr;
  std::uint64_t base = 0, bytes = 0, latency = 1;
  double bytes_per_cycle = 0;
  unsigned outstanding = 1;
  std::vector<Fault> faults;
  std::vector<Spoilt> spoilt;

  /// Whether `count` bytes from an address lie here.
  bool holds(std::uint64_t address, std::uint64_t count) const {
    return address >= base && address - base < bytes && count <= bytes - (address - base);
  }
  std::uint8_t *at(std::uint64_t address) const { return data + (address - base); }

  /// Let the first fault that meets a burst spoil it.
  void strike(Burst &burst, bool read, int port, std::uint64_t end) {
    for (Fault &fault : faults) {
      if (!(read ? fault.read : fault.write) || (fault.port >= 0 && fault.port != port)) continue;
      if (fault.count == 0 || burst.address > fault.last || end < fault.first) continue;
      if (fault.skip > 0) {
        --fault.skip;
        continue;
      }
      --fault.count;
      burst.answer = fault.answer;
      burst.first = fault.first;
      burst.last = fault.last;
      if (spoilt.size() < kMostSpoilt) spoilt.push_back({port, read, fault.answer, burst.address, end});
      return;
    }
  }
};

}  // namespace gatewright
