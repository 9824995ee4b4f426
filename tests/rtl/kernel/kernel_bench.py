# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of a kernel, run by test_kernel.py; `kernel_models` says what they find in the environment."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiResp
from kernel_models import HIGH, Counts, Kernel

from gatewright.runtime import kernel_map as regs

NEVER_CYCLES = 200
LONG_RUN = 5000
AUTO_RESTART, INTERRUPT = 1 << 7, 1 << 9


@cocotb.test()
async def registers_are_what_the_map_says(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    assert await kernel.read(regs.CONTROL) == regs.IDLE
    assert await kernel.status(regs.MAGIC) == regs.MAGIC_WORD
    assert await kernel.status(regs.EDGES) == len(kernel.map.edges) | regs.HAS_STALLS
    assert await kernel.status(regs.BUS_BITS) == kernel.map.bus_bits
    words = [await kernel.status(regs.HASH + 4 * i) for i in range(4)]
    assert b"".join(w.to_bytes(4, "little") for w in words).hex() == kernel.map.hash
    ports = (*kernel.map.arguments, *kernel.map.weights)
    places = {a.port: random.getrandbits(64) for a in ports}
    await kernel.arguments(places, 0x89ABCDEF)
    for argument in ports:
        low, high = await kernel.read(argument.register), await kernel.read(argument.register + 4)
        assert low | high << 32 == places[argument.port]
        assert await kernel.read(argument.register + 8) == 0, "the reserved word"
    await kernel.write(kernel.map.frames_register + 1, 0x55, length=1)
    await kernel.write(kernel.map.frames_register + 2, 0x6677, length=2)
    assert await kernel.read(kernel.map.frames_register) == 0x667755EF, "byte strobes"


@cocotb.test()
async def nothing_answers_where_nothing_is(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    addresses = [a.register + i for a in (*kernel.map.arguments, *kernel.map.weights) for i in (0, 4)]
    known = {*range(0, regs.FIRST_ARGUMENT, 4), kernel.map.frames_register, *addresses}
    status = range(kernel.map.status, kernel.map.edge_register(len(kernel.map.edges)), 4)
    fixed = {offset: await kernel.read(offset) for offset in status}
    holes = [o for o in range(0, kernel.map.control_bytes, 4) if o not in known and o not in fixed]
    ends = [kernel.map.frames_register + 4, kernel.map.control_bytes - 4]
    for offset in {*random.sample(holes, 8), *(o for o in ends if o in holes)}:
        await kernel.write(offset, 0xFFFFFFFF)
        assert await kernel.read(offset) == 0
    aborts = kernel.map.status + regs.ABORT
    for offset in [o for o in fixed if o < kernel.map.status + regs.EDGE or o % 16 == 4]:
        await kernel.write(offset, 0xFFFFFFFE if offset == aborts else 0xFFFFFFFF)
        assert await kernel.read(offset) == fixed[offset], f"{offset:#x} is read-only"
    assert await kernel.read(regs.CONTROL) == regs.IDLE
    await kernel.run(1)


@cocotb.test()
async def addresses_and_data_of_writes_come_in_any_order(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    interface = kernel.control.write_if
    for i, late in enumerate((interface.aw_channel, interface.w_channel, interface.b_channel)):
        late.pause = True
        writing = cocotb.start_soon(kernel.write(kernel.map.frames_register, 1000 + i))
        await ClockCycles(dut.ap_clk, 9)
        assert not writing.done()
        late.pause = False
        await writing
        assert await kernel.read(kernel.map.frames_register) == 1000 + i
    kernel.control.read_if.r_channel.pause = True
    reading = cocotb.start_soon(kernel.read(kernel.map.frames_register))
    await ClockCycles(dut.ap_clk, 9)
    assert not reading.done()
    kernel.control.read_if.r_channel.pause = False
    assert await reading == 1002


@cocotb.test()
async def frames_pass_from_memory_to_memory(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    count = len(kernel.frames["gmem0"])
    for some in (count, 1, 2):
        await kernel.run(some)
        assert await kernel.status(regs.FRAMES) == some
        assert await kernel.read(regs.CONTROL) == regs.DONE | regs.IDLE | regs.READY
        assert await kernel.read(regs.CONTROL) == regs.IDLE, "done and ready are cleared by reading"
        kernel.forget_outputs()


@cocotb.test()
async def interrupts_follow_done(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    await kernel.run(1)
    assert await kernel.read(regs.INTERRUPT_STATUS) == 0, "none is enabled"
    await kernel.write(regs.INTERRUPT_ENABLE, 1)
    await kernel.run(1)
    assert not int(dut.interrupt.value) and await kernel.read(regs.INTERRUPT_STATUS) == 1
    await kernel.write(regs.GLOBAL_INTERRUPT, 1)
    assert int(dut.interrupt.value)
    assert await kernel.read(regs.CONTROL) & INTERRUPT
    await kernel.write(regs.INTERRUPT_STATUS, 1)
    assert not int(dut.interrupt.value) and await kernel.read(regs.INTERRUPT_STATUS) == 0
    await kernel.write(regs.INTERRUPT_ENABLE, 3)
    await kernel.run(1)
    assert int(dut.interrupt.value) and await kernel.read(regs.INTERRUPT_STATUS) == 3
    await kernel.write(regs.INTERRUPT_STATUS, 2)
    assert int(dut.interrupt.value) and await kernel.read(regs.INTERRUPT_STATUS) == 1


@cocotb.test()
async def auto_restart_runs_again_until_it_is_taken_back(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    places = kernel.place(2)
    await kernel.arguments(places, 2)
    await kernel.write(regs.CONTROL, regs.START | AUTO_RESTART)
    for _ in range(3):
        await kernel.finish()
        kernel.check(places, 2)
        kernel.forget_outputs()
        assert not await kernel.read(regs.CONTROL) & regs.IDLE
    await kernel.write(regs.CONTROL, 0)
    await kernel.finish()
    kernel.check(places, 2)
    kernel.forget_outputs()
    await ClockCycles(dut.ap_clk, NEVER_CYCLES)
    assert await kernel.read(regs.CONTROL) == regs.DONE | regs.IDLE | regs.READY
    assert not kernel.memory.writes


@cocotb.test()
async def arguments_of_the_next_run_leave_this_one_alone(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    count = len(kernel.frames["gmem0"])
    places = await kernel.launch(count)
    await kernel.arguments(dict.fromkeys(kernel.map.ports, 0x777), 0)
    await kernel.finish()
    kernel.check(places, count)
    assert await kernel.status(regs.FAULTS) == 0


@cocotb.test()
async def frames_cross_pages_at_any_address(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    count, word = len(kernel.frames["gmem0"]), kernel.map.bus_bits // 8
    for base in (0x1000 - word, 0xFFFF_F000 - 3 * word, 2**64 - 0x40_0000 + 0x1000 - 2 * word):
        kernel.forget_bursts()
        places = await kernel.run(count, base)
        for argument in kernel.map.arguments:
            taken = kernel.bursts[argument.port].taken
            sizes = [(length + 1) * word for _, length in taken]
            assert [a for a, _ in taken] == [places[argument.port] + sum(sizes[:i]) for i in range(len(sizes))]
            assert sum(sizes) == count * argument.frame_bytes


@cocotb.test()
async def frames_pass_with_random_pauses(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    for begin, end in ((0.3, 0.5), (0.05, 0.1), (0.6, 0.5)):
        kernel.pause(begin, end)
        await kernel.run(len(kernel.frames["gmem0"]), offset=kernel.map.bus_bits // 8 * random.randrange(64))
        kernel.forget_outputs()


@cocotb.test()
async def unaligned_addresses_and_no_frames_are_refused(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    places = kernel.place(1)
    for argument in kernel.map.arguments:
        for bit in range((kernel.map.bus_bits // 8).bit_length() - 1):
            await kernel.arguments(places | {argument.port: places[argument.port] + (1 << bit)}, random.choice((0, 1)))
            none = regs.NO_FRAMES * (await kernel.read(kernel.map.frames_register) == 0)
            await kernel.write(regs.CONTROL, regs.START)
            await ClockCycles(dut.ap_clk, 4)
            assert await kernel.read(regs.CONTROL) == regs.DONE | regs.IDLE | regs.READY
            assert await kernel.status(regs.FAULTS) == regs.UNALIGNED | none
    await kernel.arguments(places, 0)
    await kernel.write(regs.CONTROL, regs.START)
    await ClockCycles(dut.ap_clk, NEVER_CYCLES)
    assert await kernel.status(regs.FAULTS) == regs.NO_FRAMES
    assert not any(watch.taken for watch in kernel.bursts.values())
    assert await kernel.wide(regs.CYCLES) == await kernel.status(regs.FRAMES) == 0
    await kernel.run(1)
    assert await kernel.status(regs.FAULTS) == 0


@cocotb.test()
async def error_responses_are_latched_and_the_next_run_works(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    count, word = len(kernel.frames["gmem0"]), kernel.map.bus_bits // 8
    for master, argument in enumerate(kernel.map.arguments):
        reads = argument in kernel.map.inputs
        flags = (regs.READ_SLVERR, regs.READ_DECERR) if reads else (regs.WRITE_SLVERR, regs.WRITE_DECERR)
        for flag, response in zip(flags, (AxiResp.SLVERR, AxiResp.DECERR), strict=True):
            base = HIGH + 0x1000 - 2 * word
            place = kernel.place(count, base)[argument.port]
            words = count * argument.frame_bytes // word
            first = place + random.randrange(words) * word
            kernel.memory.faults = [(range(first, place + words * word), response)]
            kernel.forget_bursts()
            await kernel.launch(count, base)
            await kernel.finish()
            bursts = kernel.bursts[argument.port].taken
            faulty = [a for a, length in bursts if a + (length + 1) * word > first]
            assert await kernel.status(regs.FAULTS) == flag
            counts = [await kernel.status(o) for o in (regs.READ_FAULTS, regs.WRITE_FAULTS)]
            assert counts == ([len(faulty), 0] if reads else [0, len(faulty)])
            assert await kernel.wide(regs.FAULT_ADDRESS) == faulty[0]
            assert await kernel.status(regs.FAULT_MASTER) == master
            kernel.memory.faults = []
            await kernel.run(1)
            for offset in (regs.FAULTS, regs.READ_FAULTS, regs.WRITE_FAULTS, regs.FAULT_ADDRESS, regs.FAULT_MASTER):
                assert await kernel.status(offset) == 0


@cocotb.test()
async def a_run_is_done_when_all_writes_are_answered(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    channels = [w.b_channel for w in kernel.writers]
    for channel in channels:
        channel.pause = True
    places = await kernel.launch(1)
    words = {a.port: a.frame_bytes * 8 // kernel.map.bus_bits for a in kernel.map.outputs}
    while any(len(kernel.beats[port].taken) < count for port, count in words.items()):
        await ClockCycles(dut.ap_clk, 1)
    await ClockCycles(dut.ap_clk, NEVER_CYCLES)
    assert await kernel.read(regs.CONTROL) == regs.START
    for channel in channels:
        channel.pause = False
    await kernel.finish()
    kernel.check(places, 1)


@cocotb.test()
async def counters_are_those_of_the_pins(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    counts = Counts(kernel)
    for begin, end in ((0.0, 1.0), (0.4, 0.3)):
        kernel.pause(begin, end)
        count = len(kernel.frames["gmem0"])
        counts.clear()
        await kernel.run(count)
        ends = counts.frame_ends()
        assert await kernel.wide(regs.CYCLES) == counts.cycles
        assert await kernel.wide(regs.FIRST_FRAME) == ends[0]
        assert await kernel.wide(regs.LAST_FRAME) == ends[-1]
        assert await kernel.status(regs.FRAMES) == len(ends) == count
        for i, edge in enumerate(kernel.map.edges):
            assert await kernel.edge(i) == (0, *counts.edges[i]), edge.name


@cocotb.test()
async def edges_show_a_design_that_stands_still(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    counts = Counts(kernel)
    channels = [r.r_channel for r in kernel.readers]
    places = await kernel.launch(len(kernel.frames["gmem0"]))
    words = len(kernel.frames["gmem0"]) * kernel.map.inputs[0].frame_bytes * 8 // kernel.map.bus_bits
    while len(kernel.beats["gmem0"].taken) < words // 2:
        await ClockCycles(dut.ap_clk, 1)
    for channel in channels:
        channel.pause = True
    while counts.changed:
        counts.changed = False
        await ClockCycles(dut.ap_clk, NEVER_CYCLES)
    assert await kernel.read(regs.CONTROL) == regs.START
    for i, edge in enumerate(kernel.map.edges):
        word = await kernel.read(kernel.map.edge_register(i))
        assert (word & 0xFFFFFF, word >> 28) == (counts.fill[i], counts.probe(i)), edge.name
    for channel in channels:
        channel.pause = False
    await kernel.finish()
    kernel.check(places, len(kernel.frames["gmem0"]))


@cocotb.test()
async def a_run_can_be_aborted_at_any_time(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    count = len(kernel.frames["gmem0"])
    for _ in range(8):
        kernel.pause(random.choice((0, 0.3, 0.6)), 0.5)
        await kernel.launch(count, offset=kernel.map.bus_bits // 8 * random.randrange(64))
        await ClockCycles(dut.ap_clk, random.randrange(1, 600))
        await kernel.write(kernel.map.status + regs.ABORT, 1)
        await kernel.settle()
        await kernel.read(regs.CONTROL)
        assert await kernel.read(regs.CONTROL) == regs.IDLE
        assert await kernel.status(regs.ABORT) == 0
        kernel.check_answered()
        kernel.pause(0, 1)
        await kernel.run(count)
        assert await kernel.status(regs.FAULTS) == 0


@cocotb.test()
async def an_abort_waits_for_what_is_outstanding(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    channels = [s.r_channel for s in kernel.readers]
    for channel in channels:
        channel.pause = True
    places = kernel.place(len(kernel.frames["gmem0"]))
    await kernel.arguments(places, LONG_RUN)  # of which most bursts are still to be asked for
    await kernel.write(regs.CONTROL, regs.START)
    await ClockCycles(dut.ap_clk, 20)
    await kernel.write(kernel.map.status + regs.ABORT, 1)
    await ClockCycles(dut.ap_clk, 20)
    assert await kernel.status(regs.ABORT) == 1
    assert await kernel.read(regs.CONTROL) == regs.START
    offered = {port: int(watch.pins["valid"].value) for port, watch in kernel.bursts.items()}
    kernel.forget_bursts()
    for channel in channels:
        channel.pause = False
    await kernel.settle()
    assert await kernel.read(regs.CONTROL) == regs.DONE | regs.IDLE | regs.READY
    assert await kernel.status(regs.FAULTS) == regs.ABORTED
    # What was offered stays offered until it is taken.
    assert {port: len(watch.taken) for port, watch in kernel.bursts.items()} == offered, "no new bursts"
    assert [await kernel.read(kernel.map.edge_register(i)) & 0xFFFFFF for i in range(len(kernel.map.edges))] == [
        0
    ] * len(kernel.map.edges)
    await kernel.run(len(kernel.frames["gmem0"]))


@cocotb.test()
async def an_abort_ends_auto_restart_and_means_nothing_when_idle(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    await kernel.write(kernel.map.status + regs.ABORT, 1)
    await kernel.run(1)
    assert await kernel.status(regs.FAULTS) == 0
    await kernel.read(regs.CONTROL)
    await kernel.arguments(kernel.place(1), 1)
    await kernel.write(regs.CONTROL, regs.START | AUTO_RESTART)
    await kernel.finish()
    await ClockCycles(dut.ap_clk, random.randrange(40))
    await kernel.write(kernel.map.status + regs.ABORT, 1)
    await kernel.settle()
    assert await kernel.read(regs.CONTROL) == regs.DONE | regs.IDLE | regs.READY
    assert await kernel.status(regs.FAULTS) == regs.ABORTED
    await ClockCycles(dut.ap_clk, NEVER_CYCLES)
    assert await kernel.read(regs.CONTROL) == regs.IDLE


@cocotb.test()
async def a_reset_in_mid_run_leaves_nothing(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    for cycles in (3, 40, random.randrange(60, 300)):
        await kernel.launch(len(kernel.frames["gmem0"]))
        await ClockCycles(dut.ap_clk, cycles)
        await kernel.reset()
        assert await kernel.read(regs.CONTROL) == regs.IDLE
        assert await kernel.read(kernel.map.frames_register) == 0
        kernel.forget_outputs()
        await kernel.run(2)


@cocotb.test()
async def frames_follow_each_other_as_fast_as_the_slowest_part(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    ends = Counts(kernel)
    count = len(kernel.frames["gmem0"])
    await kernel.run(count)
    found = ends.frame_ends()
    words = max(a.frame_bytes for a in kernel.map.arguments) * 8 // kernel.map.bus_bits
    interval = max(words, kernel.interval)
    assert found[-1] - found[-1 - kernel.steady] == kernel.steady * interval, f"{found}, not every {interval}"
    cycles = await kernel.wide(regs.LAST_FRAME) - await kernel.wide(regs.FIRST_FRAME)
    assert cycles == found[-1] - found[0]


@cocotb.test()
async def weights_are_read_once_a_pass(dut: Any) -> None:
    """In bursts that end with them and begin with the first again; none where there are no weights."""
    kernel = await Kernel.start(dut)
    count, word = len(kernel.frames["gmem0"]), kernel.map.bus_bits // 8
    places = await kernel.run(count, 0x1_0000_0000 - 3 * word)
    for weights in kernel.map.weights:
        taken = [(a - places[weights.port], (length + 1) * word) for a, length in kernel.bursts[weights.port].taken]
        begins = [i for i, (start, _) in enumerate(taken) if start == 0]
        assert len(begins) % count == 0
        for first, end in zip(begins, [*begins[1:], len(taken)], strict=True):
            sizes = [size for _, size in taken[first:end]]
            assert [start for start, _ in taken[first:end]] == [sum(sizes[:i]) for i in range(len(sizes))]
            assert sum(sizes) == weights.image_bytes
        assert len(kernel.beats[weights.port].taken) == len(begins) * weights.image_bytes // word
