// SPDX-License-Identifier: Apache-2.0
// Constant memories: elements of Memory::bits bits, packed from bit 0 up into 64-bit words.
//
// A kernel reads them once, into a local array of exact widths that nothing else writes; that is how Vitis HLS is told
// of a ROM. Memory::word(i) gives 64 packed bits.
#pragma once

#include <ap_int.h>

#include <cstdint>

namespace gatewright {

// The bits of element `index`.
template <class Memory>
inline ap_uint<Memory::bits> element(int index) {
#pragma HLS inline
  static_assert(Memory::bits >= 1 && Memory::bits <= 64, "an element of a memory has 1 to 64 bits");
  const long long first = static_cast<long long>(index) * Memory::bits;
  const int word = static_cast<int>(first / 64);
  const int shift = static_cast<int>(first % 64);
  std::uint64_t bits = Memory::word(word) >> shift;
  if (shift + Memory::bits > 64) {
    bits |= Memory::word(word + 1) << (64 - shift);
  }
  return ap_uint<Memory::bits>(bits);
}

}  // namespace gatewright
