// SPDX-License-Identifier: Apache-2.0
// What the emitted C test benches share; runs on the host, never in hardware.
//
// A folder holds a file per port with all frames as they lie in memory: NAME.bin. The bench calls the top function on a
// few frames at a time, writes what comes out beside the inputs, and, where golden_NAME.bin lies there, compares. A
// project's own frames must have it.
#pragma once

#include <ap_int.h>
#include <hls_stream.h>

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

// Bits from the start of a frame to that of the next.
template <int BUS>
constexpr std::size_t memory_bits(int width, int beats) {
  return (std::size_t(width) * beats + BUS - 1) / BUS * BUS;
}

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

// Frames of an output that differ from what golden_NAME.bin holds. Where there is no such file: all if it is needed,
// and one where there are none; else 0.
template <int BUS>
unsigned count_wrong(const std::string& folder, const std::string& name, const Memory<BUS>& have, unsigned frames,
                     bool needed = false) {
  const Memory<BUS> want = read_words<BUS>(folder + "/golden_" + name + ".bin");
  if (want.empty()) {
    if (needed) std::cerr << folder << "/golden_" << name << ".bin is missing or empty\n";
    return needed ? std::max(frames, 1u) : 0;
  }
  if (want.size() != have.size()) {
    std::cerr << name << ": golden are " << want.size() << " words, but " << have.size() << " came\n";
    return std::max(frames, 1u);
  }
  const std::size_t words = have.size() / std::max(frames, 1u);
  unsigned wrong = 0;
  for (unsigned f = 0; f < frames; ++f) {
    if (!std::equal(have.begin() + f * words, have.begin() + (f + 1) * words, want.begin() + f * words)) {
      if (wrong++ == 0) std::cerr << name << ": frame " << f << " differs from golden\n";
    }
  }
  return wrong;
}

// Where the frames of a project lie: in a folder, or flat where the simulation runs, to which some releases of Vitis
// copy the files of a test bench.
inline std::string vector_folder(const std::string& folder, const std::string& file) {
  return std::ifstream((folder + "/" + file).c_str()).good() ? folder : ".";
}

// A frame out of memory into a port, WIDTH bits a beat.
template <int BUS, class Word, int WIDTH, int BEATS>
void send_frame(const Memory<BUS>& memory, unsigned frame, hls::stream<Word>& port) {
  std::size_t bit = memory_bits<BUS>(WIDTH, BEATS) * frame;
  for (int beat = 0; beat < BEATS; ++beat) {
    Word word;
    word.data = 0;
    for (int i = 0; i < WIDTH; ++i, ++bit) word.data[i] = memory[bit / BUS][static_cast<int>(bit % BUS)];
    word.keep = -1;
    word.strb = -1;
    word.last = beat == BEATS - 1;
    port.write(word);
  }
}

// A frame from a port into memory. Returns 1 where it is too short, TLAST or TKEEP stand wrong, or padding is not 0.
template <int BUS, int WIDTH, int BEATS, class Word>
unsigned receive_frame(hls::stream<Word>& port, const std::string& name, Memory<BUS>& memory, unsigned frame) {
  std::size_t bit = memory_bits<BUS>(WIDTH, BEATS) * frame;
  bool right = true;
  for (int beat = 0; beat < BEATS && right; ++beat) {
    right = !port.empty();
    if (!right) break;
    Word word = port.read();
    for (int i = 0; i < WIDTH; ++i, ++bit) memory[bit / BUS][static_cast<int>(bit % BUS)] = bool(word.data[i]);
    right = (word.last == 1) == (beat == BEATS - 1) && word.keep.and_reduce() && word.strb.and_reduce() &&
            (word.data >> WIDTH) == 0;
  }
  if (!right) std::cerr << name << ": frame " << frame << " is too short, or TLAST, TKEEP or padding is wrong\n";
  return right ? 0 : 1;
}

// 1 where beats are left in a port, which all frames should have emptied.
template <class Word>
unsigned left_over(hls::stream<Word>& port, const std::string& name) {
  if (!port.empty()) std::cerr << name << " holds beats of no frame\n";
  return port.empty() ? 0 : 1;
}

}  // namespace gatewright
