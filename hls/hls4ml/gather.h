// SPDX-License-Identifier: Apache-2.0
// y[i] = x[order[i]]: elements in another order, or some of them. A stream is read whole before it is written.

#ifndef GATEWRIGHT_GATHER_H_
#define GATEWRIGHT_GATHER_H_

#include "hls_stream.h"
#include "nnet_common.h"

namespace gatewright {

template <class CONFIG_T> struct gather {
    typedef typename CONFIG_T::order_t order_t;

    template <class data_T, class res_T>
    static void run(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out], const order_t *order) {
        #pragma HLS PIPELINE
    Elements:
        for (unsigned i = 0; i < CONFIG_T::n_out; i++) {
            #pragma HLS UNROLL
            res[i] = data[static_cast<int>(order[i])];
        }
    }

    template <class data_T, class res_T>
    static void run(hls::stream<data_T> &data, hls::stream<res_T> &res, const order_t *order) {
        typename data_T::value_type frame[CONFIG_T::n_in];
    Read:
        for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
            #pragma HLS PIPELINE
            data_T in_data = data.read();
        Unpack:
            for (unsigned j = 0; j < data_T::size; j++) {
                #pragma HLS UNROLL
                frame[i * data_T::size + j] = in_data[j];
            }
        }
    Write:
        for (unsigned i = 0; i < CONFIG_T::n_out / res_T::size; i++) {
            #pragma HLS PIPELINE
            res_T out_data;
            PRAGMA_DATA_PACK(out_data)
        Pack:
            for (unsigned j = 0; j < res_T::size; j++) {
                #pragma HLS UNROLL
                out_data[j] = frame[static_cast<int>(order[i * res_T::size + j])];
            }
            res.write(out_data);
        }
    }
};

} // namespace gatewright

#endif
