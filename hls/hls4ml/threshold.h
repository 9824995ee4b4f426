// SPDX-License-Identifier: Apache-2.0
// y = lo + step * (the number of the channel's thresholds that x reaches); falling channels: hi - it.

#ifndef GATEWRIGHT_THRESHOLD_H_
#define GATEWRIGHT_THRESHOLD_H_

#include "elementwise.h"

namespace gatewright {

template <class CONFIG_T> struct threshold : elementwise<threshold<CONFIG_T>, CONFIG_T> {
    template <class data_T>
    static int apply(data_T x, unsigned channel, const typename CONFIG_T::thresholds_t *thresholds,
                     const typename CONFIG_T::falling_t *falling) {
        #pragma HLS INLINE
        int reached = 0;
    Steps:
        for (unsigned k = 0; k < CONFIG_T::n_steps; k++) {
            #pragma HLS UNROLL
            if (x >= thresholds[channel * CONFIG_T::n_steps + k]) {
                reached += CONFIG_T::step;
            }
        }
        return falling[channel] != 0 ? CONFIG_T::hi - reached : CONFIG_T::lo + reached;
    }
};

} // namespace gatewright

#endif
