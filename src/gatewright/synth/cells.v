// SPDX-License-Identifier: Apache-2.0
// Gatewright's own simulation models of cells of which Yosys ships ports and timing only: block RAM as Yosys uses it.
// Written after UG473 (7 series) and UG573 (UltraScale). Unregistered outputs and READ_FIRST only; cascades, error
// correction and inverted pins are not modelled, and a netlist that has any is rejected.

// One block RAM of 2**ADDR_BITS data bits, an eighth as many parity bits, and two ports. Port widths are 1, 2, 4 bits
// of data, or 9, 18, 36, 72: bytes with a parity bit each; 0 is an unused direction. Addresses count bits of data;
// those below the width are ignored. A row of 256 bits of data and 32 of parity is what one INIT parameter holds.
// Both ports see what a word held before a write of the same cycle, as READ_FIRST on one clock says.
module gatewright_block_ram #(
  parameter integer ADDR_BITS = 15,
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
  parameter [2**ADDR_BITS-1:0] DATA = 0,
  parameter [2**(ADDR_BITS-3)-1:0] PARITY = 0,
  parameter [71:0] START_A = 0, START_B = 0, RESET_A = 0, RESET_B = 0
) (
  input  clk_a, en_a, reset_a, clk_b, en_b, reset_b,
  input  [ADDR_BITS-1:0] addr_a, addr_b,
  input  [7:0]  write_a, write_b,
  input  [63:0] data_a, data_b,
  input  [7:0]  parity_a, parity_b,
  output [63:0] read_data_a, read_data_b,
  output [7:0]  read_parity_a, read_parity_b
);
  localparam integer ROWS = 2**(ADDR_BITS - 8);
  reg [255:0] data[0:ROWS-1];
  reg [31:0] parity[0:ROWS-1];
  integer i;
  initial for (i = 0; i < ROWS; i = i + 1) begin
    data[i] = DATA[i*256+:256];
    parity[i] = PARITY[i*32+:32];
  end
  generate
    if (READ_WIDTH_A != 0) begin : g_read_a
      localparam integer D = READ_WIDTH_A < 9 ? READ_WIDTH_A : READ_WIDTH_A / 9 * 8;
      localparam integer P = READ_WIDTH_A < 9 ? 1 : READ_WIDTH_A / 9;
      wire [ADDR_BITS-9:0] row = addr_a[ADDR_BITS-1:8];
      wire [7:0] column = addr_a[7:0] & ~(D - 1);
      reg [D-1:0] word = START_A[D-1:0];
      reg [P-1:0] bits = START_A[D+:P];
      always @(posedge clk_a)
        if (en_a) begin
          word <= reset_a ? RESET_A[D-1:0] : data[row][column+:D];
          bits <= reset_a ? RESET_A[D+:P] : parity[row][column[7:3]+:P];
        end
      assign read_data_a = word;
      assign read_parity_a = READ_WIDTH_A < 9 ? 8'd0 : bits;
    end else begin : g_no_read_a
      assign read_data_a = 0;
      assign read_parity_a = 0;
    end
    if (WRITE_WIDTH_A != 0) begin : g_write_a
      localparam integer D = WRITE_WIDTH_A < 9 ? WRITE_WIDTH_A : WRITE_WIDTH_A / 9 * 8;
      localparam integer BYTE = D < 8 ? D : 8;
      wire [ADDR_BITS-9:0] row = addr_a[ADDR_BITS-1:8];
      wire [7:0] column = addr_a[7:0] & ~(D - 1);
      genvar k;
      for (k = 0; k < D / BYTE; k = k + 1) begin : g_byte
        wire [7:0] at = column + BYTE * k;
        always @(posedge clk_a)
          if (en_a && write_a[k]) begin
            data[row][at+:BYTE] <= data_a[BYTE*k+:BYTE];
            if (D >= 8) parity[row][at[7:3]] <= parity_a[k];
          end
      end
    end
  endgenerate
  generate
    if (READ_WIDTH_B != 0) begin : g_read_b
      localparam integer D = READ_WIDTH_B < 9 ? READ_WIDTH_B : READ_WIDTH_B / 9 * 8;
      localparam integer P = READ_WIDTH_B < 9 ? 1 : READ_WIDTH_B / 9;
      wire [ADDR_BITS-9:0] row = addr_b[ADDR_BITS-1:8];
      wire [7:0] column = addr_b[7:0] & ~(D - 1);
      reg [D-1:0] word = START_B[D-1:0];
      reg [P-1:0] bits = START_B[D+:P];
      always @(posedge clk_b)
        if (en_b) begin
          word <= reset_b ? RESET_B[D-1:0] : data[row][column+:D];
          bits <= reset_b ? RESET_B[D+:P] : parity[row][column[7:3]+:P];
        end
      assign read_data_b = word;
      assign read_parity_b = READ_WIDTH_B < 9 ? 8'd0 : bits;
    end else begin : g_no_read_b
      assign read_data_b = 0;
      assign read_parity_b = 0;
    end
    if (WRITE_WIDTH_B != 0) begin : g_write_b
      localparam integer D = WRITE_WIDTH_B < 9 ? WRITE_WIDTH_B : WRITE_WIDTH_B / 9 * 8;
      localparam integer BYTE = D < 8 ? D : 8;
      wire [ADDR_BITS-9:0] row = addr_b[ADDR_BITS-1:8];
      wire [7:0] column = addr_b[7:0] & ~(D - 1);
      genvar k;
      for (k = 0; k < D / BYTE; k = k + 1) begin : g_byte
        wire [7:0] at = column + BYTE * k;
        always @(posedge clk_b)
          if (en_b && write_b[k]) begin
            data[row][at+:BYTE] <= data_b[BYTE*k+:BYTE];
            if (D >= 8) parity[row][at[7:3]] <= parity_b[k];
          end
      end
    end
  endgenerate
endmodule

module RAMB18E1 (
  input  CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input  RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input  [13:0] ADDRARDADDR, ADDRBWRADDR,
  input  [15:0] DIADI, DIBDI,
  input  [1:0] DIPADIP, DIPBDIP, WEA,
  input  [3:0] WEBWE,
  output [15:0] DOADO, DOBDO,
  output [1:0] DOPADOP, DOPBDOP
);
  parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0;
  parameter [255:0] INIT_06 = 0, INIT_07 = 0, INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0;
  parameter [255:0] INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0, INIT_10 = 0, INIT_11 = 0;
  parameter [255:0] INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0;
  parameter [255:0] INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0;
  parameter [255:0] INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0;
  parameter [255:0] INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0, INIT_28 = 0, INIT_29 = 0;
  parameter [255:0] INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0;
  parameter [255:0] INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0;
  parameter [255:0] INIT_36 = 0, INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0;
  parameter [255:0] INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0;
  parameter [255:0] INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0;
  parameter [255:0] INITP_06 = 0, INITP_07 = 0;
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
  parameter integer DOA_REG = 1, DOB_REG = 1;
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
  parameter RAM_MODE = "TDP";
  parameter [71:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;

  generate
    if (WRITE_MODE_A != "READ_FIRST" || WRITE_MODE_B != "READ_FIRST" ||
        DOA_REG != 0 || DOB_REG != 0) begin : g_not_modelled
      $fatal(1, "RAMB18E1 %m: only READ_FIRST without output registers or cascades is modelled");
    end
  endgenerate

  // 36 bits: read on port A into both outputs, written on port B from both inputs.
  localparam READ_BOTH = READ_WIDTH_A == 36, WRITE_BOTH = WRITE_WIDTH_B == 36;
  wire [63:0] read_data_a, read_data_b;
  wire [7:0] read_parity_a, read_parity_b;

  gatewright_block_ram #(
    .ADDR_BITS(14),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
    .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .DATA({
      INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36,
      INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C,
      INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22,
      INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
      INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E,
      INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04,
      INIT_03, INIT_02, INIT_01, INIT_00
    }),
    .PARITY({
      INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    }),
    .START_A(READ_BOTH ? {INIT_B[16+:2], INIT_A[16+:2], INIT_B[15:0], INIT_A[15:0]} : INIT_A),
    .START_B(INIT_B),
    .RESET_A(READ_BOTH ? {SRVAL_B[16+:2], SRVAL_A[16+:2], SRVAL_B[15:0], SRVAL_A[15:0]} : SRVAL_A),
    .RESET_B(SRVAL_B)
  ) ram (
    .clk_a(CLKARDCLK), .en_a(ENARDEN), .reset_a(RSTRAMARSTRAM),
    .clk_b(CLKBWRCLK), .en_b(ENBWREN), .reset_b(RSTRAMB),
    .addr_a(ADDRARDADDR[13:0]), .addr_b(ADDRBWRADDR[13:0]),
    .write_a(WEA), .write_b(WEBWE),
    .data_a(DIADI), .parity_a(DIPADIP),
    .data_b(WRITE_BOTH ? {DIBDI, DIADI} : DIBDI), .parity_b(WRITE_BOTH ? {DIPBDIP, DIPADIP} : DIPBDIP),
    .read_data_a(read_data_a), .read_parity_a(read_parity_a),
    .read_data_b(read_data_b), .read_parity_b(read_parity_b)
  );
  assign DOADO = read_data_a[15:0];
  assign DOPADOP = read_parity_a[1:0];
  assign DOBDO = READ_BOTH ? read_data_a[31:16] : read_data_b[15:0];
  assign DOPBDOP = READ_BOTH ? read_parity_a[3:2] : read_parity_b[1:0];
endmodule

module RAMB36E1 (
  input  CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input  RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input  [15:0] ADDRARDADDR, ADDRBWRADDR,
  input  [31:0] DIADI, DIBDI,
  input  [3:0] DIPADIP, DIPBDIP, WEA,
  input  [7:0] WEBWE,
  output [31:0] DOADO, DOBDO,
  output [3:0] DOPADOP, DOPBDOP
);
  parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0;
  parameter [255:0] INIT_06 = 0, INIT_07 = 0, INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0;
  parameter [255:0] INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0, INIT_10 = 0, INIT_11 = 0;
  parameter [255:0] INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0;
  parameter [255:0] INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0;
  parameter [255:0] INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0;
  parameter [255:0] INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0, INIT_28 = 0, INIT_29 = 0;
  parameter [255:0] INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0;
  parameter [255:0] INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0;
  parameter [255:0] INIT_36 = 0, INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0;
  parameter [255:0] INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0, INIT_40 = 0, INIT_41 = 0;
  parameter [255:0] INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0, INIT_46 = 0, INIT_47 = 0;
  parameter [255:0] INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0, INIT_4C = 0, INIT_4D = 0;
  parameter [255:0] INIT_4E = 0, INIT_4F = 0, INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0;
  parameter [255:0] INIT_54 = 0, INIT_55 = 0, INIT_56 = 0, INIT_57 = 0, INIT_58 = 0, INIT_59 = 0;
  parameter [255:0] INIT_5A = 0, INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0, INIT_5F = 0;
  parameter [255:0] INIT_60 = 0, INIT_61 = 0, INIT_62 = 0, INIT_63 = 0, INIT_64 = 0, INIT_65 = 0;
  parameter [255:0] INIT_66 = 0, INIT_67 = 0, INIT_68 = 0, INIT_69 = 0, INIT_6A = 0, INIT_6B = 0;
  parameter [255:0] INIT_6C = 0, INIT_6D = 0, INIT_6E = 0, INIT_6F = 0, INIT_70 = 0, INIT_71 = 0;
  parameter [255:0] INIT_72 = 0, INIT_73 = 0, INIT_74 = 0, INIT_75 = 0, INIT_76 = 0, INIT_77 = 0;
  parameter [255:0] INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0, INIT_7D = 0;
  parameter [255:0] INIT_7E = 0, INIT_7F = 0;
  parameter [255:0] INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0;
  parameter [255:0] INITP_06 = 0, INITP_07 = 0, INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0;
  parameter [255:0] INITP_0C = 0, INITP_0D = 0, INITP_0E = 0, INITP_0F = 0;
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
  parameter integer DOA_REG = 1, DOB_REG = 1;
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
  parameter RAM_MODE = "TDP";
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE";
  parameter [71:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;

  generate
    if (WRITE_MODE_A != "READ_FIRST" || WRITE_MODE_B != "READ_FIRST" ||
        DOA_REG != 0 || DOB_REG != 0 ||
        RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE") begin : g_not_modelled
      $fatal(1, "RAMB36E1 %m: only READ_FIRST without output registers or cascades is modelled");
    end
  endgenerate

  // 72 bits: read on port A into both outputs, written on port B from both inputs.
  localparam READ_BOTH = READ_WIDTH_A == 72, WRITE_BOTH = WRITE_WIDTH_B == 72;
  wire [63:0] read_data_a, read_data_b;
  wire [7:0] read_parity_a, read_parity_b;

  gatewright_block_ram #(
    .ADDR_BITS(15),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
    .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .DATA({
      INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78, INIT_77, INIT_76,
      INIT_75, INIT_74, INIT_73, INIT_72, INIT_71, INIT_70, INIT_6F, INIT_6E, INIT_6D, INIT_6C,
      INIT_6B, INIT_6A, INIT_69, INIT_68, INIT_67, INIT_66, INIT_65, INIT_64, INIT_63, INIT_62,
      INIT_61, INIT_60, INIT_5F, INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59, INIT_58,
      INIT_57, INIT_56, INIT_55, INIT_54, INIT_53, INIT_52, INIT_51, INIT_50, INIT_4F, INIT_4E,
      INIT_4D, INIT_4C, INIT_4B, INIT_4A, INIT_49, INIT_48, INIT_47, INIT_46, INIT_45, INIT_44,
      INIT_43, INIT_42, INIT_41, INIT_40, INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A,
      INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30,
      INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26,
      INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C,
      INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12,
      INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08,
      INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00
    }),
    .PARITY({
      INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08, INITP_07, INITP_06,
      INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    }),
    .START_A(READ_BOTH ? {INIT_B[32+:4], INIT_A[32+:4], INIT_B[31:0], INIT_A[31:0]} : INIT_A),
    .START_B(INIT_B),
    .RESET_A(READ_BOTH ? {SRVAL_B[32+:4], SRVAL_A[32+:4], SRVAL_B[31:0], SRVAL_A[31:0]} : SRVAL_A),
    .RESET_B(SRVAL_B)
  ) ram (
    .clk_a(CLKARDCLK), .en_a(ENARDEN), .reset_a(RSTRAMARSTRAM),
    .clk_b(CLKBWRCLK), .en_b(ENBWREN), .reset_b(RSTRAMB),
    .addr_a(ADDRARDADDR[14:0]), .addr_b(ADDRBWRADDR[14:0]),
    .write_a(WEA), .write_b(WEBWE),
    .data_a(DIADI), .parity_a(DIPADIP),
    .data_b(WRITE_BOTH ? {DIBDI, DIADI} : DIBDI), .parity_b(WRITE_BOTH ? {DIPBDIP, DIPADIP} : DIPBDIP),
    .read_data_a(read_data_a), .read_parity_a(read_parity_a),
    .read_data_b(read_data_b), .read_parity_b(read_parity_b)
  );
  assign DOADO = read_data_a[31:0];
  assign DOPADOP = read_parity_a[3:0];
  assign DOBDO = READ_BOTH ? read_data_a[63:32] : read_data_b[31:0];
  assign DOPBDOP = READ_BOTH ? read_parity_a[7:4] : read_parity_b[3:0];
endmodule

module RAMB18E2 (
  input  CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input  RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input  ADDRENA, ADDRENB, SLEEP,
  input  [13:0] ADDRARDADDR, ADDRBWRADDR,
  input  [15:0] DINADIN, DINBDIN,
  input  [1:0] DINPADINP, DINPBDINP, WEA,
  input  [3:0] WEBWE,
  output [15:0] DOUTADOUT, DOUTBDOUT,
  output [1:0] DOUTPADOUTP, DOUTPBDOUTP
);
  parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0;
  parameter [255:0] INIT_06 = 0, INIT_07 = 0, INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0;
  parameter [255:0] INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0, INIT_10 = 0, INIT_11 = 0;
  parameter [255:0] INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0;
  parameter [255:0] INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0;
  parameter [255:0] INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0;
  parameter [255:0] INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0, INIT_28 = 0, INIT_29 = 0;
  parameter [255:0] INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0;
  parameter [255:0] INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0;
  parameter [255:0] INIT_36 = 0, INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0;
  parameter [255:0] INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0;
  parameter [255:0] INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0;
  parameter [255:0] INITP_06 = 0, INITP_07 = 0;
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
  parameter integer DOA_REG = 1, DOB_REG = 1;
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
  parameter [71:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;

  generate
    if (WRITE_MODE_A != "READ_FIRST" || WRITE_MODE_B != "READ_FIRST" ||
        DOA_REG != 0 || DOB_REG != 0) begin : g_not_modelled
      $fatal(1, "RAMB18E2 %m: only READ_FIRST without output registers or cascades is modelled");
    end
  endgenerate

  // 36 bits: read on port A into both outputs, written on port B from both inputs.
  localparam READ_BOTH = READ_WIDTH_A == 36, WRITE_BOTH = WRITE_WIDTH_B == 36;
  wire [63:0] read_data_a, read_data_b;
  wire [7:0] read_parity_a, read_parity_b;

  gatewright_block_ram #(
    .ADDR_BITS(14),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
    .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .DATA({
      INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36,
      INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C,
      INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22,
      INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
      INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E,
      INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04,
      INIT_03, INIT_02, INIT_01, INIT_00
    }),
    .PARITY({
      INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    }),
    .START_A(READ_BOTH ? {INIT_B[16+:2], INIT_A[16+:2], INIT_B[15:0], INIT_A[15:0]} : INIT_A),
    .START_B(INIT_B),
    .RESET_A(READ_BOTH ? {SRVAL_B[16+:2], SRVAL_A[16+:2], SRVAL_B[15:0], SRVAL_A[15:0]} : SRVAL_A),
    .RESET_B(SRVAL_B)
  ) ram (
    .clk_a(CLKARDCLK), .en_a(ENARDEN), .reset_a(RSTRAMARSTRAM),
    .clk_b(CLKBWRCLK), .en_b(ENBWREN), .reset_b(RSTRAMB),
    .addr_a(ADDRARDADDR[13:0]), .addr_b(ADDRBWRADDR[13:0]),
    .write_a(WEA), .write_b(WEBWE),
    .data_a(DINADIN), .parity_a(DINPADINP),
    .data_b(WRITE_BOTH ? {DINBDIN, DINADIN} : DINBDIN), .parity_b(WRITE_BOTH ? {DINPBDINP, DINPADINP} : DINPBDINP),
    .read_data_a(read_data_a), .read_parity_a(read_parity_a),
    .read_data_b(read_data_b), .read_parity_b(read_parity_b)
  );
  assign DOUTADOUT = read_data_a[15:0];
  assign DOUTPADOUTP = read_parity_a[1:0];
  assign DOUTBDOUT = READ_BOTH ? read_data_a[31:16] : read_data_b[15:0];
  assign DOUTPBDOUTP = READ_BOTH ? read_parity_a[3:2] : read_parity_b[1:0];
endmodule

module RAMB36E2 (
  input  CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input  RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input  ADDRENA, ADDRENB, SLEEP,
  input  [14:0] ADDRARDADDR, ADDRBWRADDR,
  input  [31:0] DINADIN, DINBDIN,
  input  [3:0] DINPADINP, DINPBDINP, WEA,
  input  [7:0] WEBWE,
  output [31:0] DOUTADOUT, DOUTBDOUT,
  output [3:0] DOUTPADOUTP, DOUTPBDOUTP
);
  parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0;
  parameter [255:0] INIT_06 = 0, INIT_07 = 0, INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0;
  parameter [255:0] INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0, INIT_10 = 0, INIT_11 = 0;
  parameter [255:0] INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0;
  parameter [255:0] INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0;
  parameter [255:0] INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0;
  parameter [255:0] INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0, INIT_28 = 0, INIT_29 = 0;
  parameter [255:0] INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0;
  parameter [255:0] INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0;
  parameter [255:0] INIT_36 = 0, INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0;
  parameter [255:0] INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0, INIT_40 = 0, INIT_41 = 0;
  parameter [255:0] INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0, INIT_46 = 0, INIT_47 = 0;
  parameter [255:0] INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0, INIT_4C = 0, INIT_4D = 0;
  parameter [255:0] INIT_4E = 0, INIT_4F = 0, INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0;
  parameter [255:0] INIT_54 = 0, INIT_55 = 0, INIT_56 = 0, INIT_57 = 0, INIT_58 = 0, INIT_59 = 0;
  parameter [255:0] INIT_5A = 0, INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0, INIT_5F = 0;
  parameter [255:0] INIT_60 = 0, INIT_61 = 0, INIT_62 = 0, INIT_63 = 0, INIT_64 = 0, INIT_65 = 0;
  parameter [255:0] INIT_66 = 0, INIT_67 = 0, INIT_68 = 0, INIT_69 = 0, INIT_6A = 0, INIT_6B = 0;
  parameter [255:0] INIT_6C = 0, INIT_6D = 0, INIT_6E = 0, INIT_6F = 0, INIT_70 = 0, INIT_71 = 0;
  parameter [255:0] INIT_72 = 0, INIT_73 = 0, INIT_74 = 0, INIT_75 = 0, INIT_76 = 0, INIT_77 = 0;
  parameter [255:0] INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0, INIT_7D = 0;
  parameter [255:0] INIT_7E = 0, INIT_7F = 0;
  parameter [255:0] INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0;
  parameter [255:0] INITP_06 = 0, INITP_07 = 0, INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0;
  parameter [255:0] INITP_0C = 0, INITP_0D = 0, INITP_0E = 0, INITP_0F = 0;
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
  parameter integer DOA_REG = 1, DOB_REG = 1;
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
  parameter [71:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;

  generate
    if (WRITE_MODE_A != "READ_FIRST" || WRITE_MODE_B != "READ_FIRST" ||
        DOA_REG != 0 || DOB_REG != 0) begin : g_not_modelled
      $fatal(1, "RAMB36E2 %m: only READ_FIRST without output registers or cascades is modelled");
    end
  endgenerate

  // 72 bits: read on port A into both outputs, written on port B from both inputs.
  localparam READ_BOTH = READ_WIDTH_A == 72, WRITE_BOTH = WRITE_WIDTH_B == 72;
  wire [63:0] read_data_a, read_data_b;
  wire [7:0] read_parity_a, read_parity_b;

  gatewright_block_ram #(
    .ADDR_BITS(15),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
    .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .DATA({
      INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78, INIT_77, INIT_76,
      INIT_75, INIT_74, INIT_73, INIT_72, INIT_71, INIT_70, INIT_6F, INIT_6E, INIT_6D, INIT_6C,
      INIT_6B, INIT_6A, INIT_69, INIT_68, INIT_67, INIT_66, INIT_65, INIT_64, INIT_63, INIT_62,
      INIT_61, INIT_60, INIT_5F, INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59, INIT_58,
      INIT_57, INIT_56, INIT_55, INIT_54, INIT_53, INIT_52, INIT_51, INIT_50, INIT_4F, INIT_4E,
      INIT_4D, INIT_4C, INIT_4B, INIT_4A, INIT_49, INIT_48, INIT_47, INIT_46, INIT_45, INIT_44,
      INIT_43, INIT_42, INIT_41, INIT_40, INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A,
      INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30,
      INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26,
      INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C,
      INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12,
      INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08,
      INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00
    }),
    .PARITY({
      INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08, INITP_07, INITP_06,
      INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    }),
    .START_A(READ_BOTH ? {INIT_B[32+:4], INIT_A[32+:4], INIT_B[31:0], INIT_A[31:0]} : INIT_A),
    .START_B(INIT_B),
    .RESET_A(READ_BOTH ? {SRVAL_B[32+:4], SRVAL_A[32+:4], SRVAL_B[31:0], SRVAL_A[31:0]} : SRVAL_A),
    .RESET_B(SRVAL_B)
  ) ram (
    .clk_a(CLKARDCLK), .en_a(ENARDEN), .reset_a(RSTRAMARSTRAM),
    .clk_b(CLKBWRCLK), .en_b(ENBWREN), .reset_b(RSTRAMB),
    .addr_a(ADDRARDADDR[14:0]), .addr_b(ADDRBWRADDR[14:0]),
    .write_a(WEA), .write_b(WEBWE),
    .data_a(DINADIN), .parity_a(DINPADINP),
    .data_b(WRITE_BOTH ? {DINBDIN, DINADIN} : DINBDIN), .parity_b(WRITE_BOTH ? {DINPBDINP, DINPADINP} : DINPBDINP),
    .read_data_a(read_data_a), .read_parity_a(read_parity_a),
    .read_data_b(read_data_b), .read_parity_b(read_parity_b)
  );
  assign DOUTADOUT = read_data_a[31:0];
  assign DOUTPADOUTP = read_parity_a[3:0];
  assign DOUTBDOUT = READ_BOTH ? read_data_a[63:32] : read_data_b[31:0];
  assign DOUTPBDOUTP = READ_BOTH ? read_parity_a[7:4] : read_parity_b[3:0];
endmodule
