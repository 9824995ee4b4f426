// SPDX-License-Identifier: Apache-2.0
// The kernels as clocked SystemC processes, joined by bounded FIFOs. For simulation only.
//
// A kernel's loop makes one step an iteration. Here an iteration takes a clock cycle, and what it gives enters a
// pipeline as deep as the unit's schedule says; so time, the fill of FIFOs and stalls are those of the hardware:
// - a step of a unit happens when all its inputs are there and the pipeline moves; inputs leave their FIFOs in the
//   cycle in which the step is complete;
// - the whole pipeline stands still while a beat at its end is not taken;
// - a word in a FIFO is seen one cycle after it came (two where the FIFO lies in block RAM), its place one cycle after
//   it went.
// A unit that can do nothing sleeps until a FIFO beside it changes.
#pragma once

#define SC_INCLUDE_DYNAMIC_PROCESSES
#include <systemc>
// Names that ap_int.h would make macros are SystemC's here; it asks for this.
#ifndef SYSTEMC_INCLUDED
#define SYSTEMC_INCLUDED
#endif

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "gatewright/lib/stream.hpp"

namespace gatewright {

// sc_fifo prints what it holds.
template <class T, int LANES>
std::ostream& operator<<(std::ostream& os, const Beat<T, LANES>& beat) {
  for (int i = 0; i < LANES; ++i) os << (i ? " " : "") << beat.lane[i];
  return os;
}

namespace systemc {

constexpr unsigned FOREVER = ~0u;            // frames
constexpr std::size_t STACK = 32u << 20;     // bytes of a kernel's process: its memories are local arrays

// What a FIFO or a unit shows of itself.
class Observed {
 public:
  virtual ~Observed() = default;
  virtual void trace(sc_core::sc_trace_file* file) = 0;
  // Once a cycle while traced: the signals of the cycle that has passed.
  virtual void sample() = 0;
  // One line: a FIFO's depth and greatest fill; a unit's cycles in which it made a step, waited for a beat, and waited
  // for room.
  virtual void print(std::ostream& os) const = 0;
};

// The clock of a design, the cycle it is in, and all that can be observed.
struct Timebase {
  sc_core::sc_time period;
  sc_core::sc_clock clk;
  std::vector<Observed*> observed;

  explicit Timebase(const sc_core::sc_time& p) : period(p), clk("clk", p, 0.5, 0.5 * p, true) {}
  std::uint64_t cycle() const { return sc_core::sc_time_stamp().value() / period.value(); }

  // Writes the handshakes of all FIFOs and the steps of all units to a VCD file; before time begins.
  void trace(sc_core::sc_trace_file* file) {
    sc_core::sc_trace(file, clk, clk.name());
    for (Observed* one : observed) one->trace(file);
    sc_core::sc_spawn_options options;
    options.spawn_method();
    options.set_sensitivity(&clk.negedge_event());
    options.dont_initialize();
    sc_core::sc_spawn(
        [this] {
          for (Observed* one : observed) one->sample();
        },
        "observer", &options);
  }
  void print(std::ostream& os) const {
    for (const Observed* one : observed) one->print(os);
  }
};

// What takes beats: a FIFO, or the top level.
template <class T>
class Sink {
 public:
  virtual ~Sink() = default;
  virtual bool room() const = 0;
  virtual void push(const T& beat) = 0;
  // What happens when there is room again; null if nothing tells.
  virtual const sc_core::sc_event* freed() const = 0;
};

template <class T>
class Fifo : public sc_core::sc_fifo<T>, public Sink<T>, public Observed {
 public:
  // `block`: in block RAM, where a word is seen a cycle later.
  Fifo(const char* name, Timebase& time, int depth, bool block)
      : sc_core::sc_fifo<T>(name, depth), time_(time), delay_(block ? 2 : 1) {
    time.observed.push_back(this);
  }

  bool room() const override { return this->num_free() > 0; }
  void push(const T& beat) override {
    this->nb_write(beat);
    pushed_ = true;
    if (delay_ > 1) came_.push_back(time_.cycle());
  }
  const sc_core::sc_event* freed() const override { return &this->data_read_event(); }

  bool readable() const {
    return this->num_available() > 0 && (delay_ == 1 || time_.cycle() >= came_.front() + delay_);
  }
  // A word that time alone makes readable.
  bool coming() const { return this->num_available() > 0 && !readable(); }
  const T& front() const { return this->m_buf[this->m_ri]; }
  void pop() {
    T gone;
    this->nb_read(gone);
    popped_ = true;
    if (delay_ > 1) came_.pop_front();
  }

  void trace(sc_core::sc_trace_file* file) override {
    const std::string name = this->name();
    sc_core::sc_trace(file, this->m_num_readable, name + ".fill");
    sc_core::sc_trace(file, push_, name + ".push");
    sc_core::sc_trace(file, pop_, name + ".pop");
  }
  void sample() override {
    push_ = pushed_;
    pop_ = popped_;
    pushed_ = popped_ = false;
  }
  void print(std::ostream& os) const override {
    os << "fifo " << this->name() << " " << this->m_size << " " << peak_ << "\n";
  }

 protected:
  void update() override {
    sc_core::sc_fifo<T>::update();
    peak_ = std::max(peak_, this->m_num_readable);
  }

 private:
  const Timebase& time_;
  std::uint64_t delay_;
  std::deque<std::uint64_t> came_;  // cycles
  int peak_ = 0;
  bool pushed_ = false, popped_ = false, push_ = false, pop_ = false;
};

class InBase {
 public:
  virtual ~InBase() = default;
  virtual bool commit() = 0;  // lets go what a step has read, and says whether there was something
  virtual bool coming() const = 0;
  virtual const sc_core::sc_event& arrived() const = 0;
};

class OutBase {
 public:
  virtual ~OutBase() = default;
  virtual bool blocked(int stage) const = 0;
  virtual int leave(int stage) = 0;  // beats that left
  virtual void freed(sc_core::sc_event_or_list& events) const = 0;
  virtual bool tells() const = 0;  // whether freed() names all that can change
};

// A kernel in a process of its own, and the pipeline behind it.
class Unit : public sc_core::sc_module, public Observed {
 public:
  // `depth`: cycles from a step to the cycle in which what it made is offered.
  Unit(const sc_core::sc_module_name& name, Timebase& time, int depth)
      : sc_core::sc_module(name), time_(time), depth_(depth) {
    time.observed.push_back(this);
  }

  void start(std::function<void()> kernel) {
    kernel_ = std::move(kernel);
    sc_core::sc_spawn_options options;
    options.set_sensitivity(&time_.clk.posedge_event());
    options.set_stack_size(STACK);
    options.dont_initialize();
    sc_core::sc_spawn([this] { kernel_(); }, (std::string(basename()) + "_kernel").c_str(), &options);
  }

  void add(InBase& port) { ins_.push_back(&port); }
  void add(OutBase& port) { outs_.push_back(&port); }

  // The step in this cycle is complete: on to the next cycle in which the pipeline moves.
  void next_step() {
    commit();
    ++steps_;
    stepped_ = true;
    move();
  }

  // On to the next cycle, whether the pipeline moves in it or not; `next_cycle` of a unit with a buffer.
  void next_cycle() {
    const bool took = commit();
    const std::uint64_t since = time_.cycle();
    std::uint64_t& waits = moves_ ? starved_ : blocked_;
    const bool gave = gave_;
    steps_ += gave;
    stepped_ = gave;
    gave_ = false;
    if (!took && !gave && (flying_ == 0 || !moves_)) doze();
    clock();
    if (!gave) waits += time_.cycle() - since;
  }

  // An input is not there: the next cycle in which the pipeline moves.
  void starve(const InBase& port) {
    const std::uint64_t since = time_.cycle(), blocked = blocked_;
    if (flying_ == 0 && !port.coming()) sc_core::wait(port.arrived());
    move();
    starved_ += time_.cycle() - since - (blocked_ - blocked);
  }

  void launched() {
    ++flying_;
    gave_ = true;
  }
  bool moves() const { return moves_; }
  int stage() const { return stage_; }
  int last() const { return next(); }
  int depth() const { return depth_; }

  void trace(sc_core::sc_trace_file* file) override {
    sc_core::sc_trace(file, step_, std::string(name()) + ".step");
    sc_core::sc_trace(file, moves_, std::string(name()) + ".moves");
  }
  void sample() override {
    step_ = stepped_;
    stepped_ = false;
  }
  void print(std::ostream& os) const override {
    os << "unit " << name() << " " << steps_ << " " << starved_ << " " << blocked_ << "\n";
  }

 private:
  int next() const { return stage_ + 1 == depth_ ? 0 : stage_ + 1; }

  void move() {
    clock();
    while (!moves_) {
      const std::uint64_t since = time_.cycle();
      doze();
      clock();
      blocked_ += time_.cycle() - since;
    }
  }

  // One cycle: what stands at the end of the pipeline leaves, if all who take it have room.
  void clock() {
    sc_core::wait();
    moves_ = true;
    if (flying_ > 0) {
      for (const OutBase* out : outs_) moves_ = moves_ && !out->blocked(next());
      if (!moves_) return;
      for (OutBase* out : outs_) flying_ -= out->leave(next());
    }
    stage_ = next();
  }

  // Until something beside the unit changes; returns at once where time alone, or what no event tells, may do it.
  void doze() {
    sc_core::sc_event_or_list events;
    for (const InBase* in : ins_) {
      if (in->coming()) return;
      events |= in->arrived();
    }
    for (const OutBase* out : outs_) {
      if (flying_ > 0 && !out->tells()) return;
      out->freed(events);
    }
    sc_core::wait(events);
  }

  bool commit() {
    bool any = false;
    for (InBase* in : ins_) any = in->commit() || any;
    return any;
  }

  Timebase& time_;
  std::function<void()> kernel_;
  std::vector<InBase*> ins_;
  std::vector<OutBase*> outs_;
  int depth_, stage_ = 0, flying_ = 0;
  bool moves_ = true, gave_ = false, stepped_ = false, step_ = false;
  std::uint64_t steps_ = 0, starved_ = 0, blocked_ = 0;  // cycles
};

// A kernel's input: read() waits for the beat; it leaves the FIFO when the step is complete.
template <class T>
class In : public InBase {
 public:
  In(Unit& unit, Fifo<T>& fifo) : unit_(unit), fifo_(fifo) { unit.add(*this); }

  bool empty() const { return !fifo_.readable(); }
  T read() {
    while (!fifo_.readable()) unit_.starve(*this);
    read_ = true;
    return fifo_.front();
  }

  bool commit() override {
    if (!read_) return false;
    read_ = false;
    fifo_.pop();
    return true;
  }
  bool coming() const override { return fifo_.coming(); }
  const sc_core::sc_event& arrived() const override { return fifo_.data_written_event(); }

 private:
  Unit& unit_;
  Fifo<T>& fifo_;
  bool read_ = false;
};

// A kernel's output: the pipeline, and those who take what comes out of it, all at the same time.
template <class T>
class Out : public OutBase {
 public:
  Out(Unit& unit, std::initializer_list<Sink<T>*> sinks)
      : unit_(unit), sinks_(sinks), beats_(unit.depth()), valid_(unit.depth(), 0) {
    unit.add(*this);
  }

  bool full() const { return !unit_.moves(); }
  void write(const T& beat) {
    beats_[unit_.stage()] = beat;
    valid_[unit_.stage()] = 1;
    unit_.launched();
  }
  Unit& unit() { return unit_; }

  bool valid() const { return valid_[unit_.last()] != 0; }  // at the end of the pipeline
  const T& last() const { return beats_[unit_.last()]; }

  bool blocked(int stage) const override {
    if (!valid_[stage]) return false;
    for (const Sink<T>* sink : sinks_) {
      if (!sink->room()) return true;
    }
    return false;
  }
  int leave(int stage) override {
    if (!valid_[stage]) return 0;
    for (Sink<T>* sink : sinks_) sink->push(beats_[stage]);
    valid_[stage] = 0;
    return 1;
  }
  void freed(sc_core::sc_event_or_list& events) const override {
    for (const Sink<T>* sink : sinks_) {
      if (sink->freed()) events |= *sink->freed();
    }
  }
  bool tells() const override {
    for (const Sink<T>* sink : sinks_) {
      if (!sink->freed()) return false;
    }
    return true;
  }

 private:
  Unit& unit_;
  std::vector<Sink<T>*> sinks_;
  std::vector<T> beats_;
  std::vector<char> valid_;
};

template <class T>
inline void next_step(Out<T>& m_axis) {
  m_axis.unit().next_step();
}
template <class T>
inline void next_cycle(Out<T>& m_axis) {
  m_axis.unit().next_cycle();
}

// --- the top level: pins that a test bench sets and reads between two cycles -----------------------------------------

// An input of a design. A beat that is offered while ready() is taken at the next clock edge.
template <class T>
class Source : public sc_core::sc_module {
 public:
  Source(const sc_core::sc_module_name& name, Timebase& time, std::initializer_list<Sink<T>*> sinks)
      : sc_core::sc_module(name), sinks_(sinks) {
    sc_core::sc_spawn_options options;
    options.spawn_method();
    options.set_sensitivity(&time.clk.posedge_event());
    options.dont_initialize();
    sc_core::sc_spawn([this] { take(); }, "take", &options);
  }

  bool ready() const {
    for (const Sink<T>* sink : sinks_) {
      if (!sink->room()) return false;
    }
    return true;
  }
  void offer(const T& beat) {
    beat_ = beat;
    offered_ = true;
  }

 private:
  void take() {
    if (!offered_) return;
    offered_ = false;
    for (Sink<T>* sink : sinks_) sink->push(beat_);
  }

  std::vector<Sink<T>*> sinks_;
  T beat_;
  bool offered_ = false;
};

// An output of a design behind a FIFO, or (with an Out) at the very end of a unit's pipeline.
template <class T>
class Drain : public sc_core::sc_module, public Sink<T> {
 public:
  Drain(const sc_core::sc_module_name& name, Timebase& time, Fifo<T>& fifo) : sc_core::sc_module(name), fifo_(&fifo) {
    sc_core::sc_spawn_options options;
    options.spawn_method();
    options.set_sensitivity(&time.clk.posedge_event());
    options.dont_initialize();
    sc_core::sc_spawn([this] { take(); }, "take", &options);
  }
  explicit Drain(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {}
  void join(const Out<T>& out) { out_ = &out; }

  bool valid() const { return fifo_ ? fifo_->readable() : out_->valid(); }
  const T& beat() const { return fifo_ ? fifo_->front() : out_->last(); }
  // Whether a beat that is valid is taken at the next clock edge.
  void set_ready(bool ready) { ready_ = ready; }

  bool room() const override { return ready_; }
  void push(const T&) override {}
  const sc_core::sc_event* freed() const override { return nullptr; }

 private:
  void take() {
    if (ready_ && fifo_->readable()) fifo_->pop();
  }

  Fifo<T>* fifo_ = nullptr;
  const Out<T>* out_ = nullptr;
  bool ready_ = false;
};

}  // namespace systemc
}  // namespace gatewright
