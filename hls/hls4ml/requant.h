// SPDX-License-Identifier: Apache-2.0
// y = clip(round_half_even((x * mult + add) / 2**shift), lo, hi), the rounding by the conversion of ap_fixed.
//
// add = add_high * 2**30 + add_low, because hls4ml reads its tables as doubles.

#ifndef GATEWRIGHT_REQUANT_H_
#define GATEWRIGHT_REQUANT_H_

#include "elementwise.h"

namespace gatewright {

template <class CONFIG_T> struct requant : elementwise<requant<CONFIG_T>, CONFIG_T> {
    typedef ap_int<CONFIG_T::sum_bits> sum_t;
    typedef ap_fixed<CONFIG_T::sum_bits, CONFIG_T::sum_bits - CONFIG_T::shift> shifted_t;
    typedef ap_fixed<CONFIG_T::sum_bits + 2, CONFIG_T::sum_bits + 2, AP_RND_CONV> rounded_t;

    template <class data_T>
    static rounded_t apply(data_T x, unsigned channel, const typename CONFIG_T::mult_t *mult,
                           const typename CONFIG_T::add_high_t *add_high,
                           const typename CONFIG_T::add_low_t *add_low) {
        #pragma HLS INLINE
        const sum_t add = (sum_t(add_high[channel]) << 30) + sum_t(add_low[channel]);
        const sum_t sum = sum_t(x * mult[channel]) + add;
        shifted_t shifted;
        shifted.range() = sum.range();
        const rounded_t rounded = shifted;
        if (rounded < CONFIG_T::lo) {
            return CONFIG_T::lo;
        }
        return rounded > CONFIG_T::hi ? rounded_t(CONFIG_T::hi) : rounded;
    }
};

} // namespace gatewright

#endif
