// SPDX-License-Identifier: Apache-2.0
// Stands in for the header of this name of Vitis HLS, where a project is compiled by g++ alone.
//
// The open headers of the HLS types lack it. This one has the members that UG1399 documents ("How AXI4-Stream is
// Implemented") and no more. It lies outside of emitted projects, so it can never be found in place of Vitis' own; a
// side channel of width 0, which has no wire there, is one unused bit here.
#pragma once

#include <ap_int.h>

#include <cstddef>

namespace hls {

template <class T, std::size_t WUser = 0, std::size_t WId = 0, std::size_t WDest = 0>
struct axis {
  static constexpr int bytes = (T::width + 7) / 8;
  T data;
  ap_uint<bytes> keep;
  ap_uint<bytes> strb;
  ap_uint<(WUser > 0 ? WUser : 1)> user;
  ap_uint<1> last;
  ap_uint<(WId > 0 ? WId : 1)> id;
  ap_uint<(WDest > 0 ? WDest : 1)> dest;
};

}  // namespace hls

template <std::size_t WData, std::size_t WUser, std::size_t WId, std::size_t WDest>
using ap_axiu = hls::axis<ap_uint<WData>, WUser, WId, WDest>;
template <std::size_t WData, std::size_t WUser, std::size_t WId, std::size_t WDest>
using ap_axis = hls::axis<ap_int<WData>, WUser, WId, WDest>;
