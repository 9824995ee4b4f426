// SPDX-License-Identifier: Apache-2.0
// The bridge, a bank of each kind and a master's pins for each, for the benches of this folder.
`default_nettype none
module bridge_top #(
  parameter int CLOCK_HZ = 100000000,
  parameter int BAUD = 12500000,
  parameter int TIMEOUT = 64
) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  rxd,
  output logic txd,
  output logic busy,
  output logic receives,
  output logic fault,
  output logic [11:0] m_axi_awaddr,
  output logic m_axi_awvalid,
  input  wire  m_axi_awready,
  output logic [31:0] m_axi_wdata,
  output logic [3:0] m_axi_wstrb,
  output logic m_axi_wvalid,
  input  wire  m_axi_wready,
  input  wire  [1:0] m_axi_bresp,
  input  wire  m_axi_bvalid,
  output logic m_axi_bready,
  output logic [11:0] m_axi_araddr,
  output logic m_axi_arvalid,
  input  wire  m_axi_arready,
  input  wire  [31:0] m_axi_rdata,
  input  wire  [1:0] m_axi_rresp,
  input  wire  m_axi_rvalid,
  output logic m_axi_rready,
  input  wire  [63:0] s_axi_araddr,
  input  wire  [7:0] s_axi_arlen,
  input  wire  [2:0] s_axi_arsize,
  input  wire  [1:0] s_axi_arburst,
  input  wire  [0:0] s_axi_arid,
  input  wire  s_axi_arvalid,
  output logic s_axi_arready,
  output logic [0:0] s_axi_rid,
  output logic [31:0] s_axi_rdata,
  output logic [1:0] s_axi_rresp,
  output logic s_axi_rlast,
  output logic s_axi_rvalid,
  input  wire  s_axi_rready,
  input  wire  [63:0] s_axi_awaddr,
  input  wire  [7:0] s_axi_awlen,
  input  wire  [2:0] s_axi_awsize,
  input  wire  [1:0] s_axi_awburst,
  input  wire  [0:0] s_axi_awid,
  input  wire  s_axi_awvalid,
  output logic s_axi_awready,
  input  wire  [31:0] s_axi_wdata,
  input  wire  [3:0] s_axi_wstrb,
  input  wire  s_axi_wlast,
  input  wire  s_axi_wvalid,
  output logic s_axi_wready,
  output logic [0:0] s_axi_bid,
  output logic [1:0] s_axi_bresp,
  output logic s_axi_bvalid,
  input  wire  s_axi_bready
);
  logic enable, write;
  logic [2:0] select;
  logic [9:0] address;
  logic [31:0] data;
  logic [95:0] found;

  uart_bridge #(
    .CLOCK_HZ(CLOCK_HZ), .BAUD(BAUD), .BANKS(3), .BANK_BITS(12), .BASE(65536), .CONTROL_BITS(12), .TIMEOUT(TIMEOUT)
  ) i_bridge (
    .*, .bank_enable(enable), .bank_write(write), .bank_select(select), .bank_address(address),
    .bank_write_data(data), .bank_read_data(found)
  );
  axi_read_bank #(.BITS(12), .BASE(65536)) i_read (
    .*, .enable(enable && select[0]), .write(write), .address(address), .write_data(data), .read_data(found[31:0])
  );
  axi_write_bank #(.BITS(12), .BASE(69632)) i_write (
    .*, .enable(enable && select[1]), .write(write), .address(address), .write_data(data), .read_data(found[63:32])
  );
  axi_read_bank #(.BITS(12), .BASE(73728)) i_idle (
    .clk(clk), .rst_n(rst_n), .s_axi_araddr('0), .s_axi_arlen('0), .s_axi_arvalid(1'b0), .s_axi_arready(),
    .s_axi_rdata(), .s_axi_rresp(), .s_axi_rlast(), .s_axi_rvalid(), .s_axi_rready(1'b1),
    .enable(enable && select[2]), .write(write), .address(address), .write_data(data), .read_data(found[95:64])
  );
  assign s_axi_rid = '0;
  assign s_axi_bid = '0;
  wire unused = &{1'b0, s_axi_arsize, s_axi_arburst, s_axi_arid, s_axi_awsize, s_axi_awburst, s_axi_awid};
endmodule

// Receivers and transmitters of several rates, and banks whose other port is at the pins.
module parts_top (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  rxd,
  output logic [23:0] bytes,
  output logic [2:0] framing,
  output logic [2:0] arrived,
  input  wire  [7:0] s_tdata,
  input  wire  s_tvalid,
  output logic s_tready,
  output logic txd,
  input  wire  [63:0] s_axi_araddr,
  input  wire  [7:0] s_axi_arlen,
  input  wire  [2:0] s_axi_arsize,
  input  wire  [1:0] s_axi_arburst,
  input  wire  [0:0] s_axi_arid,
  input  wire  s_axi_arvalid,
  output logic s_axi_arready,
  output logic [0:0] s_axi_rid,
  output logic [31:0] s_axi_rdata,
  output logic [1:0] s_axi_rresp,
  output logic s_axi_rlast,
  output logic s_axi_rvalid,
  input  wire  s_axi_rready,
  input  wire  [63:0] s_axi_awaddr,
  input  wire  [7:0] s_axi_awlen,
  input  wire  [2:0] s_axi_awsize,
  input  wire  [1:0] s_axi_awburst,
  input  wire  [0:0] s_axi_awid,
  input  wire  s_axi_awvalid,
  output logic s_axi_awready,
  input  wire  [31:0] s_axi_wdata,
  input  wire  [3:0] s_axi_wstrb,
  input  wire  s_axi_wlast,
  input  wire  s_axi_wvalid,
  output logic s_axi_wready,
  output logic [0:0] s_axi_bid,
  output logic [1:0] s_axi_bresp,
  output logic s_axi_bvalid,
  input  wire  s_axi_bready,
  input  wire  read_enable,
  input  wire  write_enable,
  input  wire  write,
  input  wire  [10:0] address,
  input  wire  [31:0] write_data,
  output logic [31:0] read_bank_data,
  output logic [31:0] write_bank_data
);
  uart_rx #(.CLOCKS(8)) i_rx8 (
    .*, .m_tdata(bytes[7:0]), .m_tuser(framing[0]), .m_tvalid(arrived[0])
  );
  uart_rx #(.CLOCKS(17)) i_rx17 (
    .*, .m_tdata(bytes[15:8]), .m_tuser(framing[1]), .m_tvalid(arrived[1])
  );
  uart_rx #(.CLOCKS(60)) i_rx60 (
    .*, .m_tdata(bytes[23:16]), .m_tuser(framing[2]), .m_tvalid(arrived[2])
  );
  uart_tx #(.CLOCKS(9)) i_tx (.*);
  axi_read_bank #(.BITS(13), .BASE(8192)) i_read (.*, .enable(read_enable), .read_data(read_bank_data));
  axi_write_bank #(.BITS(13), .BASE(8192)) i_write (.*, .enable(write_enable), .read_data(write_bank_data));
  assign s_axi_rid = '0;
  assign s_axi_bid = '0;
  wire unused = &{1'b0, s_axi_arsize, s_axi_arburst, s_axi_arid, s_axi_awsize, s_axi_awburst, s_axi_awid};
endmodule
`default_nettype wire
