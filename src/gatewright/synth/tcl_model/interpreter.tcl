# SPDX-License-Identifier: Apache-2.0
# Runs a script: what Tcl does not know is asked of the model, through this process' standard input and output.
#
#   tclsh interpreter.tcl SCRIPT [ARGUMENT]...
#
# A message is a kind, the script's file and line, and words, each as its length and its bytes; an answer likewise.

namespace eval ::model {
  variable driver [file normalize [info script]]
  fconfigure stdin -translation binary -buffering full
  fconfigure stdout -translation binary -buffering full
  rename ::puts ::model::puts
  rename ::source ::model::source
  rename ::unknown {}
}

# Vivado's interpreter is Tcl 8.5 (UG894): what came later is not there.
foreach later {coroutine lmap tailcall throw try yield yieldto zlib} { catch {rename ::$later {}} }
foreach {ensemble later} {string cat dict map file tempfile} {
  set map [namespace ensemble configure $ensemble -map]
  if {[dict exists $map $later]} { namespace ensemble configure $ensemble -map [dict remove $map $later] }
}
unset later ensemble map

proc ::model::say words {
  foreach word $words {
    set bytes [encoding convertto utf-8 $word]
    ::model::puts -nonewline stdout "[string length $bytes]\n$bytes"
  }
}

proc ::model::hear {} {
  if {[gets stdin length] < 0} { exit 70 }
  return [encoding convertfrom utf-8 [read stdin $length]]
}

# The innermost frame that lies in a file of the script's, not in this one.
proc ::model::where {} {
  for {set level -2} {![catch {info frame $level} frame]} {incr level -1} {
    if {[dict get $frame type] eq "source" && [dict get $frame file] ne $::model::driver} {
      return [list [dict get $frame file] [dict get $frame line]]
    }
  }
  return [list "" 0]
}

proc ::model::ask {kind words} {
  lassign [::model::where] file line
  ::model::say [list [llength $words] $kind $file $line [pwd] {*}$words]
  flush stdout
  set status [::model::hear]
  set answer [::model::hear]
  if {$status eq "error"} { return -code error -errorcode MODEL $answer }
  return $answer
}

proc ::unknown args { return [::model::ask command $args] }

# In the tools, what is written to the console goes to the log as well.
proc ::puts args {
  set words $args
  set newline 1
  if {[lindex $words 0] eq "-nonewline"} { set newline 0; set words [lrange $words 1 end] }
  if {[llength $words] == 1 || [lindex $words 0] in {stdout stderr}} {
    ::model::ask print [list [expr {[llength $words] == 1 ? "stdout" : [lindex $words 0]}] [lindex $words end] $newline]
    return
  }
  ::model::puts {*}$args
}

# UG835 "source" has options that Tcl's own has not.
proc ::source args {
  set words {}
  foreach word $args { if {$word ni {-notrace -quiet -verbose}} { lappend words $word } }
  return [uplevel 1 [list ::model::source {*}$words]]
}

proc ::model::run {} {
  set script [lindex $::argv 0]
  set ::argv [lrange $::argv 1 end]
  set ::argc [llength $::argv]
  set ::argv0 $script
  if {[catch {uplevel #0 [list ::model::source $script]} message options]} {
    ::model::ask failed [list $message [dict get $options -errorinfo] [dict get $options -errorcode]]
    exit 1
  }
}
::model::run
