# A block design for a Zynq UltraScale+ around a packaged kernel, as a project with runs (UG994, UG835). Independent of
# what Gatewright emits. Arguments: part, name of the kernel.
lassign $argv part kernel
set here [file normalize [file dirname [info script]]]

create_project -force -part $part kernel_project $here/project
set_property ip_repo_paths $here/../kernel [current_project]
update_ip_catalog -rebuild
create_bd_design "system"

proc cell {vlnv name args} {
  set made [create_bd_cell -type ip -vlnv $vlnv $name]
  foreach {key value} $args { set_property CONFIG.$key $value $made }
  return $made
}

cell xilinx.com:ip:zynq_ultra_ps_e ps \
  PSU__USE__M_AXI_GP0 1 PSU__USE__M_AXI_GP1 0 PSU__USE__M_AXI_GP2 0 \
  PSU__MAXIGP0__DATA_WIDTH 32 \
  PSU__USE__S_AXI_GP2 1 PSU__USE__S_AXI_GP3 1 PSU__SAXIGP2__DATA_WIDTH 128 \
  PSU__USE__IRQ0 1 PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 200
cell gatewright:kernel:$kernel kernel
cell xilinx.com:ip:proc_sys_reset:5.0 reset
cell xilinx.com:ip:smartconnect:1.0 control NUM_SI 1

set masters [lsort [get_bd_intf_pins -quiet kernel/m_axi_*]]
set half [expr {([llength $masters] + 1) / 2}]
set n 0
foreach port {0 1} {
  set mine [lrange $masters [expr {$port * $half}] [expr {($port + 1) * $half - 1}]]
  cell xilinx.com:ip:smartconnect:1.0 memory$port NUM_SI [llength $mine]
  set i 0
  foreach master $mine {
    connect_bd_intf_net [get_bd_intf_pins $master] [get_bd_intf_pins [format memory%d/S%02d_AXI $port $i]]
    incr i
  }
  connect_bd_intf_net [get_bd_intf_pins memory$port/M00_AXI] [get_bd_intf_pins ps/S_AXI_HP${port}_FPD]
}
connect_bd_intf_net -intf_net control [get_bd_intf_pins ps/M_AXI_HPM0_FPD] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins kernel/s_axi_control]

set clock [get_bd_pins ps/pl_clk0]
foreach pin {ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk ps/saxihp1_fpd_aclk kernel/ap_clk control/aclk memory0/aclk
             memory1/aclk reset/slowest_sync_clk} {
  connect_bd_net -net clock $clock [get_bd_pins $pin]
}
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins reset/ext_reset_in]
foreach pin {kernel/ap_rst_n control/aresetn memory0/aresetn memory1/aresetn} {
  connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin]
}
connect_bd_net [get_bd_pins kernel/interrupt] [get_bd_pins ps/pl_ps_irq0]

assign_bd_address
set control [get_bd_addr_segs ps/Data/SEG_kernel_reg0]
set_property range 64K $control
set_property offset 0xA0000000 $control
foreach segment [get_bd_addr_segs -of_objects [get_bd_cells ps] -filter {NAME =~ *_LPS_OCM}] {
  exclude_bd_addr_seg $segment
}
validate_bd_design
save_bd_design

make_wrapper -top -import -files [get_files system.bd]
set_property top system_wrapper [current_fileset]
update_compile_order -fileset sources_1

set_property strategy Performance_Explore [get_runs impl_1]
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { error "implementation failed" }
open_run impl_1
file mkdir $here/reports
report_timing_summary -file $here/reports/timing.rpt
report_utilization -hierarchical -file $here/reports/utilization.rpt
write_hw_platform -fixed -include_bit -force $here/system.xsa
