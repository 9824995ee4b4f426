# A block design for a Zynq-7000 around a packaged kernel, in memory, as UG994 and UG892 describe it. Independent of what
# Gatewright emits. Arguments: part, name of the kernel.
set part [lindex $argv 0]
set kernel [lindex $argv 1]

create_project -in_memory -part $part
set_property target_language Verilog [current_project]
set_property ip_repo_paths [list [file normalize ../kernel]] [current_project]
update_ip_catalog

create_bd_design system

set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7:5.5 ps]
set_property -dict [list \
  CONFIG.PCW_USE_M_AXI_GP0 1 \
  CONFIG.PCW_USE_S_AXI_HP0 1 \
  CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64 \
  CONFIG.PCW_USE_FABRIC_INTERRUPT 1 \
  CONFIG.PCW_IRQ_F2P_INTR 1 \
  CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 100 \
] $ps
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
  -config {make_external "FIXED_IO, DDR" apply_board_preset 0} $ps

create_bd_cell -type ip -vlnv gatewright:kernel:$kernel:1.0 kernel
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset:5.0 reset
set control [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 control]
set_property CONFIG.NUM_SI 1 $control
set memory [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 memory]

set masters [get_bd_intf_pins -of_objects [get_bd_cells kernel] -filter {MODE == Master && NAME =~ m_axi_*}]
set_property CONFIG.NUM_SI [llength $masters] $memory

connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_GP0] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins kernel/s_axi_control]
set i 0
foreach master $masters {
  connect_bd_intf_net [get_bd_intf_pins $master] [get_bd_intf_pins memory/S[format %02d $i]_AXI]
  incr i
}
connect_bd_intf_net [get_bd_intf_pins memory/M00_AXI] [get_bd_intf_pins ps/S_AXI_HP0]

connect_bd_net [get_bd_pins ps/FCLK_CLK0] \
  [get_bd_pins ps/M_AXI_GP0_ACLK] [get_bd_pins ps/S_AXI_HP0_ACLK] \
  [get_bd_pins kernel/ap_clk] [get_bd_pins control/aclk] [get_bd_pins memory/aclk] \
  [get_bd_pins reset/slowest_sync_clk]
connect_bd_net [get_bd_pins ps/FCLK_RESET0_N] [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] \
  [get_bd_pins kernel/ap_rst_n] [get_bd_pins control/aresetn] [get_bd_pins memory/aresetn]
connect_bd_net [get_bd_pins kernel/interrupt] [get_bd_pins ps/IRQ_F2P]

assign_bd_address -offset 0x43C00000 -range 64K -target_address_space [get_bd_addr_spaces ps/Data] \
  [get_bd_addr_segs kernel/s_axi_control/reg0]
assign_bd_address
validate_bd_design
save_bd_design

set design [get_files system.bd]
set_property synth_checkpoint_mode None $design
generate_target all $design
add_files -norecurse [make_wrapper -files $design -top]

synth_design -top system_wrapper -part $part
opt_design
place_design
phys_opt_design
route_design

file mkdir reports out
report_timing_summary -max_paths 10 -file reports/timing.rpt
report_utilization -file reports/utilization.rpt
report_utilization -hierarchical -hierarchical_depth 6 -file reports/utilization_units.rpt
report_power -file reports/power.rpt
set slack [get_property SLACK [lindex [get_timing_paths -max_paths 1 -setup] 0]]
if {$slack < 0} {
  puts stderr "timing is not met: $slack ns"
  exit 3
}
write_bitstream -force out/system.bit
file copy -force [lindex [glob .gen/sources_1/bd/system/hw_handoff/*.hwh] 0] out/system.hwh
