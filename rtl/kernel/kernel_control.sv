// SPDX-License-Identifier: Apache-2.0
// AXI4-Lite registers of a kernel: the ap_ctrl_hs map of Vitis, the arguments, and a window on the status words.
//
// 0x00 control: 0 start (set by writing 1, cleared when the run is done), 1 done and 3 ready (cleared by reading),
//      2 idle, 7 auto_restart, 9 interrupt. 0x04 bit 0: global interrupt enable.
// 0x08 enable and 0x0c status (toggled by writing 1) of the interrupts: 0 done, 1 ready.
// 0x10 + 12 * i: 64-bit address of master i; behind the last, 32 bits: the number of frames. The addresses of the last
//      WEIGHTS masters follow behind the number of frames and a word that is reserved, 12 bytes apart too.
// STATUS: the 32 words of `status`, then four words an edge, read-only; but writing 1 to STATUS + 0x0c gives `stop`.
// Anywhere else reads give 0 and writes do nothing; every response is OKAY, for an error response would end the process
// that made the access. WSTRB is respected, and a write's address and data may come in any order.
`default_nettype none
module kernel_control #(
  parameter int ADDRESS_BITS = 12,
  parameter int PORTS = 2,
  parameter int WEIGHTS = 0,
  parameter int EDGES = 1,
  parameter int STATUS = 256
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [ADDRESS_BITS-1:0] s_axi_awaddr,
  input  wire  s_axi_awvalid,
  output logic s_axi_awready,
  input  wire  [31:0] s_axi_wdata,
  input  wire  [3:0] s_axi_wstrb,
  input  wire  s_axi_wvalid,
  output logic s_axi_wready,
  output logic [1:0] s_axi_bresp,
  output logic s_axi_bvalid,
  input  wire  s_axi_bready,
  input  wire  [ADDRESS_BITS-1:0] s_axi_araddr,
  input  wire  s_axi_arvalid,
  output logic s_axi_arready,
  output logic [31:0] s_axi_rdata,
  output logic [1:0] s_axi_rresp,
  output logic s_axi_rvalid,
  input  wire  s_axi_rready,
  output logic irq,
  output logic start,
  input  wire  idle,
  input  wire  done,
  input  wire  aborted,
  output logic stop,
  output logic [64*PORTS-1:0] addresses,
  output logic [31:0] frames,
  input  wire  [1023:0] status,
  input  wire  [128*EDGES-1:0] edges
);
  localparam int INDEX_BITS = ADDRESS_BITS - 2;
  localparam int ARGUMENTS = PORTS - WEIGHTS;  // addresses in front of the number of frames
  localparam int FRAMES = 4 + 3 * ARGUMENTS;  // index of its word
  localparam int SHOWN = 32 + 4 * EDGES;  // words behind STATUS
  localparam int SHOWN_BITS = $clog2(SHOWN);

  if (PORTS < 1 || EDGES < 1 || STATUS != 1 << $clog2(STATUS) || STATUS <= 4 * (FRAMES + 3 * WEIGHTS))
  begin : g_bad_map
    $fatal(1, "kernel_control %m: STATUS=%0d must be a power of two behind the arguments of PORTS=%0d, EDGES=%0d >= 1",
           STATUS, PORTS, EDGES);
  end
  if (ADDRESS_BITS < 31 && STATUS + 4 * SHOWN > 1 << ADDRESS_BITS) begin : g_bad_window
    $fatal(1, "kernel_control %m: ADDRESS_BITS=%0d cannot reach EDGES=%0d behind STATUS=%0d",
           ADDRESS_BITS, EDGES, STATUS);
  end

  logic address_q, data_q, write, set_control, read_q, in_shown;
  logic [INDEX_BITS-1:0] to_q, from_q;
  logic [31:0] written_q, mask, register;
  logic [32*SHOWN-1:0] shown;
  logic [INDEX_BITS-1:0] place;
  logic [3:0] strobe_q;
  logic auto_restart_q, done_q, ready_q, global_q;
  logic [1:0] enable_q, raised_q;
  wire unused_bits = &{1'b0, s_axi_awaddr[1:0], s_axi_araddr[1:0]};

  assign s_axi_awready = !address_q;
  assign s_axi_wready = !data_q;
  assign s_axi_bresp = 2'b00;
  assign write = address_q && data_q && (!s_axi_bvalid || s_axi_bready);
  assign mask = {{8{strobe_q[3]}}, {8{strobe_q[2]}}, {8{strobe_q[1]}}, {8{strobe_q[0]}}};

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      address_q <= 1'b0;
      data_q <= 1'b0;
      s_axi_bvalid <= 1'b0;
    end else begin
      address_q <= !write && (address_q || s_axi_awvalid);
      data_q <= !write && (data_q || s_axi_wvalid);
      s_axi_bvalid <= write || s_axi_bvalid && !s_axi_bready;
    end
    if (s_axi_awready) to_q <= s_axi_awaddr[ADDRESS_BITS-1:2];
    if (s_axi_wready) begin
      written_q <= s_axi_wdata;
      strobe_q <= s_axi_wstrb;
    end
  end

  // --- control and interrupts
  assign set_control = write && strobe_q[0] && to_q == INDEX_BITS'(0);
  assign stop = write && strobe_q[0] && written_q[0] && to_q == INDEX_BITS'(STATUS / 4 + 3);
  assign irq = global_q && raised_q != '0;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      start <= 1'b0;
      auto_restart_q <= 1'b0;
      done_q <= 1'b0;
      ready_q <= 1'b0;
      global_q <= 1'b0;
      enable_q <= '0;
      raised_q <= '0;
    end else begin
      // An abort takes back what would start the next run, but not what is written in that very cycle.
      if (set_control && written_q[0]) start <= 1'b1;
      else if (done) start <= auto_restart_q && !aborted;
      if (set_control) auto_restart_q <= written_q[7];
      else if (done && aborted) auto_restart_q <= 1'b0;
      done_q <= done || done_q && !(read_q && from_q == '0);
      ready_q <= done || ready_q && !(read_q && from_q == '0);
      if (write && strobe_q[0] && to_q == INDEX_BITS'(1)) global_q <= written_q[0];
      if (write && strobe_q[0] && to_q == INDEX_BITS'(2)) enable_q <= written_q[1:0];
      for (int i = 0; i < 2; i++) begin
        if (done && enable_q[i]) raised_q[i] <= 1'b1;
        else if (write && strobe_q[0] && to_q == INDEX_BITS'(3)) raised_q[i] <= raised_q[i] ^ written_q[i];
      end
    end
  end

  // --- arguments
  for (genvar i = 0; i < 2 * PORTS; i++) begin : g_address
    always_ff @(posedge clk) begin
      if (!rst_n) addresses[32*i+:32] <= '0;
      else if (write && to_q == INDEX_BITS'(4 + i / 2 * 3 + i % 2 + (i / 2 < ARGUMENTS ? 0 : 2))) begin
        addresses[32*i+:32] <= written_q & mask | addresses[32*i+:32] & ~mask;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) frames <= '0;
    else if (write && to_q == INDEX_BITS'(FRAMES)) frames <= written_q & mask | frames & ~mask;
  end

  // --- reads: a cycle for the address, one for the word
  assign s_axi_arready = !read_q && !s_axi_rvalid;
  assign s_axi_rresp = 2'b00;

  always_comb begin
    register = '0;
    case (from_q)
      INDEX_BITS'(0): register = {22'd0, irq, 1'b0, auto_restart_q, 3'd0, ready_q, idle, done_q, start};
      INDEX_BITS'(1): register = {31'd0, global_q};
      INDEX_BITS'(2): register = {30'd0, enable_q};
      INDEX_BITS'(3): register = {30'd0, raised_q};
      INDEX_BITS'(FRAMES): register = frames;
      default: begin
        for (int i = 0; i < 2 * PORTS; i++) begin
          if (from_q == INDEX_BITS'(4 + i / 2 * 3 + i % 2 + (i / 2 < ARGUMENTS ? 0 : 2))) begin
            register = addresses[32*i+:32];
          end
        end
      end
    endcase
  end

  // An index instead of a case: the words of a few hundred edges are a multiplexer of four inputs a LUT.
  assign shown = {edges, status};
  assign place = from_q - INDEX_BITS'(STATUS / 4);
  assign in_shown = from_q >= INDEX_BITS'(STATUS / 4) && place < INDEX_BITS'(SHOWN);

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      read_q <= 1'b0;
      s_axi_rvalid <= 1'b0;
    end else begin
      read_q <= s_axi_arvalid && s_axi_arready;
      s_axi_rvalid <= read_q || s_axi_rvalid && !s_axi_rready;
    end
    if (s_axi_arready) from_q <= s_axi_araddr[ADDRESS_BITS-1:2];
    if (read_q) s_axi_rdata <= in_shown ? shown[{place[SHOWN_BITS-1:0], 5'd0}+:32] : register;
  end
endmodule
`default_nettype wire
