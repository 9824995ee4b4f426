// SPDX-License-Identifier: Apache-2.0
// Layers of hls4ml that are functions of one element and its channel: on arrays (io_parallel) and streams (io_stream).
//
// A FUNCTION_T is derived from elementwise<FUNCTION_T, CONFIG_T> and has `apply(x, channel, tables...)`; CONFIG_T has
// n_in elements of n_chan channels.

#ifndef GATEWRIGHT_ELEMENTWISE_H_
#define GATEWRIGHT_ELEMENTWISE_H_

#include "hls_stream.h"
#include "nnet_common.h"

namespace gatewright {

template <class FUNCTION_T, class CONFIG_T> struct elementwise {
    template <class data_T, class res_T, class... TABLES>
    static void run(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in], const TABLES *...tables) {
        #pragma HLS PIPELINE
    Elements:
        for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
            #pragma HLS UNROLL
            res[i] = FUNCTION_T::apply(data[i], i % CONFIG_T::n_chan, tables...);
        }
    }

    template <class data_T, class res_T, class... TABLES>
    static void run(hls::stream<data_T> &data, hls::stream<res_T> &res, const TABLES *...tables) {
        static_assert(data_T::size == res_T::size, "a function of single elements keeps the width of its stream");
    Words:
        for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
            #pragma HLS PIPELINE
            data_T in_data = data.read();
            res_T out_data;
            PRAGMA_DATA_PACK(out_data)
        Lanes:
            for (unsigned j = 0; j < data_T::size; j++) {
                #pragma HLS UNROLL
                out_data[j] = FUNCTION_T::apply(in_data[j], (i * data_T::size + j) % CONFIG_T::n_chan, tables...);
            }
            res.write(out_data);
        }
    }
};

} // namespace gatewright

#endif
