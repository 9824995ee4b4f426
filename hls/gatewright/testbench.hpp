// SPDX-License-Identifier: Apache-2.0
// What the emitted C test benches share; runs on the host, never in hardware.
//
// A folder holds a file per port with all frames as they lie in memory: NAME.bin. The bench calls the top function on a
// few frames at a time, writes what comes out beside the inputs, and, where golden_NAME.bin lies there, compares.
#pragma once

#include <ap_int.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace gatewright {

template <int BUS>
using Memory = std::vector<ap_uint<BUS>>;

inline std::vector<unsigned char> read_bytes(const std::string& path) {
  std::ifstream file(path.c_str(), std::ios::binary);
  return std::vector<unsigned char>((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

// Words of a file, little-endian.
template <int BUS>
Memory<BUS> read_words(const std::string& path) {
  const std::vector<unsigned char> bytes = read_bytes(path);
  Memory<BUS> words(bytes.size() / (BUS / 8));
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (int b = 0; b < BUS / 8; ++b) words[i].range(8 * b + 7, 8 * b) = bytes[i * (BUS / 8) + b];
  }
  return words;
}

template <int BUS>
bool write_words(const std::string& path, const Memory<BUS>& words) {
  std::vector<unsigned char> bytes(words.size() * (BUS / 8));
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (int b = 0; b < BUS / 8; ++b) bytes[i * (BUS / 8) + b] = words[i].range(8 * b + 7, 8 * b).to_uint();
  }
  std::ofstream file(path.c_str(), std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return file.good();
}

// Frames of an output that differ from what golden_NAME.bin holds, or 0 where there is no such file.
template <int BUS>
unsigned count_wrong(const std::string& folder, const std::string& name, const Memory<BUS>& have, unsigned frames) {
  const Memory<BUS> want = read_words<BUS>(folder + "/golden_" + name + ".bin");
  if (want.empty()) return 0;
  const std::size_t words = have.size() / std::max(frames, 1u);
  unsigned wrong = want.size() == have.size() ? 0 : frames;
  for (unsigned f = 0; wrong < frames && f < frames; ++f) {
    if (!std::equal(have.begin() + f * words, have.begin() + (f + 1) * words, want.begin() + f * words)) {
      if (wrong++ == 0) std::cerr << name << ": frame " << f << " differs from golden\n";
    }
  }
  return wrong;
}

}  // namespace gatewright
