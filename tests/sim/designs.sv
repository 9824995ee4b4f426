// SPDX-License-Identifier: Apache-2.0
// Small designs for the tests of the simulation harness.

// A FIFO from rtl/lib with tlast beside the data.
module fifo_stage #(parameter int WIDTH = 8, parameter int DEPTH = 4, parameter int BLOCK = 0) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [WIDTH-1:0] s_axis_tdata,
  input  wire  s_axis_tvalid,
  output logic s_axis_tready,
  input  wire  s_axis_tlast,
  output logic [WIDTH-1:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  fifo #(.WIDTH(WIDTH + 1), .DEPTH(DEPTH), .BLOCK(BLOCK)) u_fifo (
    .clk(clk), .rst_n(rst_n),
    .s_tdata({s_axis_tlast, s_axis_tdata}), .s_tvalid(s_axis_tvalid), .s_tready(s_axis_tready),
    .m_tdata({m_axis_tlast, m_axis_tdata}), .m_tvalid(m_axis_tvalid), .m_tready(m_axis_tready)
  );
endmodule

// Two inputs, two outputs: the sum and the difference of two bytes, combinationally.
module butterfly (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [7:0] s0_axis_tdata,
  input  wire  s0_axis_tvalid,
  output logic s0_axis_tready,
  input  wire  s0_axis_tlast,
  input  wire  [7:0] s1_axis_tdata,
  input  wire  s1_axis_tvalid,
  output logic s1_axis_tready,
  input  wire  s1_axis_tlast,
  output logic [15:0] m0_axis_tdata,
  output logic m0_axis_tvalid,
  input  wire  m0_axis_tready,
  output logic m0_axis_tlast,
  output logic [15:0] m1_axis_tdata,
  output logic m1_axis_tvalid,
  input  wire  m1_axis_tready,
  output logic m1_axis_tlast
);
  logic sent0, sent1, both, done0, done1;

  assign both = s0_axis_tvalid && s1_axis_tvalid;
  assign m0_axis_tvalid = both && !sent0;
  assign m1_axis_tvalid = both && !sent1;
  assign done0 = sent0 || m0_axis_tready;
  assign done1 = sent1 || m1_axis_tready;
  assign s0_axis_tready = both && done0 && done1;
  assign s1_axis_tready = both && done0 && done1;
  assign m0_axis_tdata = 16'($signed(s0_axis_tdata)) + 16'($signed(s1_axis_tdata));
  assign m1_axis_tdata = 16'($signed(s0_axis_tdata)) - 16'($signed(s1_axis_tdata));
  assign m0_axis_tlast = s0_axis_tlast;
  assign m1_axis_tlast = s1_axis_tlast;

  always_ff @(posedge clk) begin
    if (!rst_n || s0_axis_tready) begin
      sent0 <= 1'b0;
      sent1 <= 1'b0;
    end else if (both) begin
      sent0 <= done0;
      sent1 <= done1;
    end
  end
endmodule

// A register stage that misbehaves from its beat AT on, as KIND says.
module faulty #(parameter KIND = "none", parameter int AT = 5) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [7:0] s_axis_tdata,
  input  wire  s_axis_tvalid,
  output logic s_axis_tready,
  input  wire  s_axis_tlast,
  output logic [7:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  logic [7:0] beat, data_q, age;
  logic valid_q, last_q, bad, fire;

  assign bad = beat >= 8'(AT);
  assign fire = m_axis_tvalid && m_axis_tready;
  assign s_axis_tready = (!valid_q || fire) && !(bad && KIND == "deaf");
  assign m_axis_tdata = data_q + (bad && KIND == "data" ? age : 8'd0);
  assign m_axis_tvalid = valid_q && !(bad && (KIND == "mute" || KIND == "valid" && age[0]));
  assign m_axis_tlast = last_q ^ (bad && KIND == "last");

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      valid_q <= 1'b0;
      beat <= 8'd0;
      age <= 8'd0;
    end else begin
      age <= fire ? 8'd0 : age + 8'(valid_q);
      beat <= beat + 8'(fire);
      if (!valid_q || fire) begin
        valid_q <= s_axis_tvalid && s_axis_tready || bad && KIND == "surplus";
        data_q <= s_axis_tdata;
        last_q <= s_axis_tlast;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (rst_n && bad && KIND == "fatal") $fatal(1, "beat %0d is one too many", beat);
    if (rst_n && bad && KIND == "finish") $finish;
  end
endmodule

// Adds word `beat` of a ROM file to a byte; WAKE 1 adds instead what a register held at power-up.
module rom_adder #(parameter int WAKE = 0) (
  input  wire  clk,
  input  wire  rst_n,
  input  wire  [7:0] s_axis_tdata,
  input  wire  s_axis_tvalid,
  output logic s_axis_tready,
  input  wire  s_axis_tlast,
  output logic [7:0] m_axis_tdata,
  output logic m_axis_tvalid,
  input  wire  m_axis_tready,
  output logic m_axis_tlast
);
  logic [7:0] mem[4];
  logic [1:0] addr;
  logic [7:0] never_reset;

  if (WAKE == 0) begin : g_rom
    initial $readmemh("adder.mem", mem);
  end
  assign s_axis_tready = m_axis_tready;
  assign m_axis_tvalid = s_axis_tvalid;
  assign m_axis_tlast = s_axis_tlast;
  assign m_axis_tdata = s_axis_tdata + (WAKE == 0 ? mem[addr] : never_reset);

  always_ff @(posedge clk) begin
    if (!rst_n) addr <= 2'd0;
    else if (s_axis_tvalid && s_axis_tready) addr <= addr + 2'd1;
    never_reset <= never_reset;
  end
endmodule
