// SPDX-License-Identifier: Apache-2.0
// y = |x|: what a function from outside the package looks like to hls4ml.

#ifndef ABSOLUTE_H_
#define ABSOLUTE_H_

#include "elementwise.h"

namespace gatewright {

template <class CONFIG_T> struct absolute : elementwise<absolute<CONFIG_T>, CONFIG_T> {
    template <class data_T> static int apply(data_T x, unsigned) {
        #pragma HLS INLINE
        const int value = static_cast<int>(x);
        return value < 0 ? -value : value;
    }
};

} // namespace gatewright

#endif
