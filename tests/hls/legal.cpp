// SPDX-License-Identifier: Apache-2.0
// Every pragma of the lint's table and every mode of an interface, as the syntax of the user guide has them: no findings.
#include <hls_stream.h>

struct Pair {
  int a, b;
};

inline void helper() {}

template <int N>
void use(int n, int values[4]) {
  Pair pair = {n, n};
  int sum = 0;
#pragma HLS aggregate variable=pair compact=bit
#pragma HLS allocation operation instances=mul limit=2
#pragma HLS allocation function instances=helper limit=1
#pragma HLS array_partition variable=values type=cyclic factor=N dim=1
#pragma HLS array_reshape variable=values type=complete dim=0
#pragma HLS bind_op variable=sum op=mul impl=dsp latency=-1
#pragma HLS bind_storage variable=values type=ram_s2p impl=lutram
#pragma HLS dependence variable=values type=inter direction=RAW dependent=false
#pragma HLS disaggregate variable=pair
#pragma HLS expression_balance off
#pragma HLS function_instantiate variable=n
#pragma HLS inline off
#pragma HLS loop_merge force
#pragma HLS reset variable=sum off
#pragma HLS stable variable=values, n
#pragma HLS stream variable = values type = pipo depth = 3
#pragma HLS TOP NAME=other
walk:
  for (int i = 0; i < N; ++i) {
#pragma HLS loop_flatten off
#pragma HLS loop_tripcount min=1 max=N*2 avg=(N + 1) / 2
#pragma HLS performance target_ti=100
#pragma HLS pipeline II=N rewind style=stp
#pragma HLS unroll factor=N skip_exit_check
    if (n) {
#pragma HLS occurrence cycle=4
#pragma HLS protocol fixed
#pragma HLS latency min=1 \
    max=2
      sum += pair.a;
    }
  }
  values[0] = sum;
  helper();
}

inline void region(int n) {
#pragma HLS dataflow disable_start_propagation
  int values[4];
  use<2>(n, values);
}

void legal(const int* gmem, hls::stream<int>& axis, hls::stream<int>& fifo, int ram[8], int memory[8], int lite,
           int none, int valid, int taken, int both, int steady, int* given) {
#pragma HLS interface mode=m_axi port=gmem offset=slave bundle=b depth=8 max_read_burst_length=16 latency=3 name=m
#pragma HLS interface mode=axis port=axis register_mode=both depth=2
#pragma HLS interface mode=ap_fifo port=fifo depth=2
#pragma HLS interface mode=bram port=ram storage_type=ram_1p latency=1
#pragma HLS interface mode=ap_memory port=memory storage_type=RAM_1P
#pragma HLS interface mode=s_axilite port=lite bundle=control offset=16
#pragma HLS interface mode=ap_none port=none register
#pragma HLS interface mode=ap_vld port=valid
#pragma HLS interface mode=ap_ack port=taken
#pragma HLS interface mode=ap_hs port=both
#pragma HLS interface mode=ap_stable port=steady
#pragma HLS interface mode=ap_ovld port=given
#pragma HLS interface mode=s_axilite port=return
#pragma HLS interface mode=ap_ctrl_chain port=return
#pragma HLS alias ports=gmem distance=0
  int values[4];
  use<4>(lite, values);
  region(none);
}
