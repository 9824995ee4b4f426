# Every command that the model of Vivado knows, once at least, in an order that the tool takes. Arguments: part, kernel.
lassign $argv part kernel
foreach name [list_param] { get_param $name }
set_param general.maxThreads 4
version -short
get_board_parts -quiet
get_parts -filter {FAMILY == zynq && SPEED == -1 && !(DEVICE =~ xc7z04*)}
set_msg_config -id {Synth 8-4445} -new_severity ERROR
get_msg_config -rules
reset_msg_config -id {Synth 8-4445} -default_severity
send_msg_id {gatewright 1-1} INFO "here"
common::send_msg_id {gatewright 1-2} INFO "there"
report_environment -file environment.rpt

# --- a packaged kernel ---
create_project packaging packaging -part xcu50-fsvh2104-2-e
get_projects
set_part xcu50-fsvh2104-2-e
add_files [glob ../rtl/kernels/*.sv ../kernel/lib/*.sv ../kernel/*.sv]
import_files -norecurse ../kernel/$kernel.v
set_property top $kernel [current_fileset]
ipx::package_project -root_dir ip -vendor gatewright -library kernel -import_files -force
set core [ipx::current_core]
set_property -dict {sdx_kernel true sdx_kernel_type rtl} $core
ipx::infer_bus_interface ap_clk xilinx.com:signal:clock_rtl:1.0 $core
foreach bus [ipx::get_bus_interfaces *_axi* -of_objects $core] {
  ipx::associate_bus_interfaces -busif [get_property NAME $bus] -clock ap_clk $core
}
set bus [ipx::get_bus_interfaces m_axi_gmem0 -of_objects $core]
set_property value 0 [ipx::add_bus_parameter HAS_BURST $bus]
ipx::get_bus_parameters HAS_BURST -of_objects $bus
ipx::get_ports ap_clk -of_objects $core
set block [ipx::get_address_blocks reg0 -of_objects [ipx::get_memory_maps s_axi_control -of_objects $core]]
set register [ipx::add_register input0 $block]
set_property address_offset 0x10 $register
ipx::get_registers -of_objects $block
set_property value m_axi_gmem0 [ipx::add_register_parameter ASSOCIATED_BUSIF $register]
ipx::get_register_parameters ASSOCIATED_BUSIF -of_objects $register
file mkdir ip/src
close [open ip/src/rom.mem w]
ipx::add_file src/rom.mem [ipx::get_file_groups xilinx_anylanguagesynthesis -of_objects $core]
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity -kernel -xrt $core
ipx::save_core $core
ipx::archive_core ip.zip $core
ipx::unload_core
package_xo -xo_path kernel.xo -kernel_name $kernel -ip_directory ip -output_kernel_xml kernel_out.xml
close_project
ipx::open_core ../kernel/component.xml
ipx::open_ipxact_file ../kernel/component.xml
close_project -quiet

# --- a block design ---
create_project design design -part $part
create_fileset -srcset sources_2
current_fileset -constrset
set_property ip_repo_paths ../kernel [current_project]
update_ip_catalog
get_ipdefs -filter {NAME == smartconnect}
create_bd_design throwaway
get_bd_designs
current_bd_instance /
close_bd_design [current_bd_design]
remove_files [get_files throwaway.bd]
create_bd_design system
create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7:5.5 ps
set_property -dict {CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_USE_FABRIC_INTERRUPT 1
  CONFIG.PCW_IRQ_F2P_INTR 1} [get_bd_cells ps]
make_bd_intf_pins_external -name DDR [get_bd_intf_pins ps/DDR]
create_bd_intf_port -vlnv xilinx.com:display_processing_system7:fixedio_rtl:1.0 -mode Master FIXED_IO
connect_bd_intf_net [get_bd_intf_ports FIXED_IO] [get_bd_intf_pins ps/FIXED_IO]
create_bd_cell -type ip -vlnv gatewright:kernel:$kernel:1.0 kernel
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset:5.0 reset
create_bd_cell -type ip -vlnv xilinx.com:ip:axi_interconnect:2.1 control
set_property CONFIG.NUM_MI 1 [get_bd_cells control]
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 memory
set masters [get_bd_intf_pins kernel/m_axi_*]
set_property CONFIG.NUM_SI [llength $masters] [get_bd_cells memory]
create_bd_cell -type ip -vlnv xilinx.com:ip:xlconcat:2.1 interrupts
set_property CONFIG.NUM_PORTS 1 [get_bd_cells interrupts]
create_bd_cell -type ip -vlnv xilinx.com:ip:xlconstant:1.1 one
create_bd_cell -type ip -vlnv xilinx.com:ip:clk_wiz:6.0 clocks
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config {apply_board_preset 0} [get_bd_cells ps]
connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_GP0] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins kernel/s_axi_control]
set i -1
foreach master $masters {
  connect_bd_intf_net [get_bd_intf_pins $master] [get_bd_intf_pins memory/S[format %02d [incr i]]_AXI]
}
connect_bd_intf_net [get_bd_intf_pins memory/M00_AXI] [get_bd_intf_pins ps/S_AXI_HP0]
disconnect_bd_intf_net [get_bd_intf_nets memory_M00_AXI] [get_bd_intf_pins ps/S_AXI_HP0]
connect_bd_intf_net [get_bd_intf_pins memory/M00_AXI] [get_bd_intf_pins ps/S_AXI_HP0]
connect_bd_net [get_bd_pins ps/FCLK_CLK0] [get_bd_pins clocks/clk_in1]
foreach pin {ps/M_AXI_GP0_ACLK ps/S_AXI_HP0_ACLK kernel/ap_clk memory/aclk reset/slowest_sync_clk control/ACLK
             control/S00_ACLK control/M00_ACLK} {
  connect_bd_net -net clock [get_bd_pins clocks/clk_out1] [get_bd_pins $pin]
}
connect_bd_net [get_bd_pins ps/FCLK_RESET0_N] [get_bd_pins reset/ext_reset_in] [get_bd_pins clocks/reset]
connect_bd_net [get_bd_pins clocks/locked] [get_bd_pins reset/dcm_locked]
foreach pin {kernel/ap_rst_n memory/aresetn control/ARESETN control/S00_ARESETN control/M00_ARESETN} {
  connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin]
}
connect_bd_net [get_bd_pins kernel/interrupt] [get_bd_pins interrupts/In0]
connect_bd_net [get_bd_pins interrupts/dout] [get_bd_pins ps/IRQ_F2P]
create_bd_port -dir O led
connect_bd_net [get_bd_pins one/dout] [get_bd_ports led]
disconnect_bd_net [get_bd_nets one_dout] [get_bd_ports led]
delete_bd_objs [get_bd_cells one] [get_bd_ports led]
create_bd_net spare
create_bd_intf_net spare_bus
make_bd_pins_external -name second [get_bd_pins reset/mb_reset]
get_bd_addr_spaces -of_objects [get_bd_intf_pins ps/M_AXI_GP0]
create_bd_addr_seg -range 64K -offset 0x43C00000 [get_bd_addr_spaces ps/Data] \
  [get_bd_addr_segs kernel/s_axi_control/reg0] SEG_kernel
assign_bd_address
include_bd_addr_seg [exclude_bd_addr_seg [get_bd_addr_segs kernel/m_axi_gmem0/SEG_ps_HP0_DDR_LOWOCM]]
regenerate_bd_layout
validate_bd_design
save_bd_design
write_bd_tcl -force system.tcl
set file [get_files system.bd]
open_bd_design [get_property FILE_NAME [current_bd_design]]
list_property [current_bd_design]
report_property -file cell.txt [get_bd_cells kernel]
set_property synth_checkpoint_mode None $file
generate_target {synthesis implementation} $file
export_ip_user_files -of_objects $file -no_script
config_ip_cache -disable_cache
report_ip_status -file ip.rpt
set wrapper [add_files [make_wrapper -files $file -top]]
read_bd [get_property NAME $file]
reorder_files -front $wrapper
remove_files $wrapper
read_verilog [get_property NAME $wrapper]
close [open pins.xdc w]
read_xdc pins.xdc
close [open odd.vhd w]
read_vhdl odd.vhd
get_ips -quiet
read_mem ip/src/rom.mem
get_filesets sources_*
update_compile_order -fileset [current_fileset]
check_syntax
reset_property SCOPED_TO_REF [get_files pins.xdc]
set_property top system_wrapper [current_fileset]

# --- runs ---
launch_runs [current_run -synthesis]
wait_on_run synth_1
reset_run synth_1
launch_runs impl_1 -to_step write_bitstream
wait_on_runs [get_runs impl_1]
open_run impl_1
write_hw_platform -fixed -include_bit system.xsa
close_design

# --- the design in memory ---
synth_design -top system_wrapper
filter [get_clocks] {NAME =~ clk_fpga_*}
all_clocks
create_clock -name virtual -period 5
set_clock_groups -asynchronous -group [get_clocks clk_fpga_0]
set_clock_uncertainty 0.1 [get_clocks clk_fpga_0]
set_false_path -from [get_pins a/b] -to [get_cells c]
set_max_delay 5 -datapath_only -from [get_ports d] -to [get_nets e]
get_pblocks
power_opt_design
opt_design -directive Explore
place_design
write_hwdef system.hwdef
phys_opt_design
route_design
current_design
foreach report {report_timing_summary report_timing report_utilization report_power report_clocks report_clock_utilization
                report_clock_interaction report_drc report_methodology report_route_status report_io report_control_sets
                report_design_analysis report_cdc check_timing} {
  $report -file $report.rpt
}
get_property SLACK [get_timing_paths]
write_checkpoint routed.dcp
write_verilog -mode funcsim system.v
write_xdc system.xdc
write_debug_probes system.ltx
write_bitstream system.bit
write_cfgmem -format BIN -loadbit "up 0 system.bit" system.bin
start_gui
stop_gui
