// SPDX-License-Identifier: Apache-2.0
// y = the entry of the channel's table (or of the one table) for x; inputs start at `first` and are `step` apart.

#ifndef GATEWRIGHT_LUT_H_
#define GATEWRIGHT_LUT_H_

#include "elementwise.h"

namespace gatewright {

template <class CONFIG_T> struct lut : elementwise<lut<CONFIG_T>, CONFIG_T> {
    template <class data_T>
    static typename CONFIG_T::table_t apply(data_T x, unsigned channel, const typename CONFIG_T::table_t *table) {
        #pragma HLS INLINE
        const unsigned row = CONFIG_T::n_tables == 1 ? 0 : channel;
        const int code = (static_cast<int>(x) - CONFIG_T::first) / CONFIG_T::step;
        return table[row * CONFIG_T::n_codes + code];
    }
};

} // namespace gatewright

#endif
