# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the bridge and its banks, run by test_uart.py."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from bridge_models import BANK_BYTES, BANKS, BASE, BIT_NS, END, TIMEOUT_BITS, Bridge, random_words
from cocotb.triggers import ClockCycles, Timer
from protocol import (
    BAD_ADDRESS,
    BAD_CRC,
    BAD_FRAMING,
    BAD_REQUEST,
    CONTROL,
    IDENTIFY,
    OK,
    READ,
    WRITE,
    Response,
    request,
    response,
    words_to_bytes,
)


@cocotb.test()
async def it_says_what_it_is(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    assert await bridge.counters() == (0, 0, 0)
    for count in (1, 8, 64):
        assert len((await bridge.ask(IDENTIFY, 12345, count=count)).words) == 8, "whatever is asked for"


@cocotb.test()
async def registers_and_banks_are_read_and_written(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    for base in (CONTROL, BASE, BASE + BANK_BYTES, BASE + 2 * BANK_BYTES):
        for count in (1, 2, 64):
            for place in {base, base + BANK_BYTES - 4 * count, base + 4 * random.randrange(960)}:
                words = random_words(count)
                await bridge.ask(WRITE, place, words)
                if base == CONTROL:
                    assert bridge.registers.cells[place - CONTROL :][: 4 * count] == words_to_bytes(words)
                assert await bridge.content(place, count) == tuple(words)
    words = random_words(40)
    await bridge.ask(WRITE, BASE + BANK_BYTES - 80, words)
    assert await bridge.content(BASE + BANK_BYTES - 4, 21) == tuple(words[19:]), "from one bank into the next"


@cocotb.test()
async def a_bank_and_a_register_file_that_take_their_time_change_nothing(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    channels = [bridge.slave.write_if.aw_channel, bridge.slave.write_if.w_channel, bridge.slave.write_if.b_channel]
    channels += [bridge.slave.read_if.ar_channel, bridge.slave.read_if.r_channel]
    for channel in channels:
        channel.set_pause_generator(iter(lambda: random.random() < 0.7, None))
    for count in (1, 5, 30):
        words = random_words(count)
        await bridge.ask(WRITE, CONTROL + 40, words)
        assert await bridge.content(CONTROL + 40, count) == tuple(words)
    assert bridge.registers.accesses == 72


@cocotb.test()
async def what_cannot_be_done_is_refused_and_nothing_happens(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    words = random_words(64)
    await bridge.ask(WRITE, BASE, words)
    accesses = bridge.registers.accesses
    for op in (0, 4, 0x81, 255):
        await bridge.refused(request(op, 77, BASE, count=1), BAD_REQUEST)
    for count in (65, 128, 129, 256):
        await bridge.refused(request(READ, 78, BASE, count=count), BAD_REQUEST)
        await bridge.refused(request(WRITE, 78, BASE, random_words(count)), BAD_REQUEST)
    await bridge.refused(request(IDENTIFY, 79, count=65), BAD_REQUEST)
    seq = 100
    for place in (BASE + 1, BASE + 2, CONTROL + 3, BASE - 4, 0, END, 2 * BASE, CONTROL - 4, CONTROL + 4096, 0xFFFFFFFC):
        for op, data in ((READ, []), (WRITE, random_words(1))):
            seq += 1
            await bridge.refused(request(op, seq, place, data, 1), BAD_ADDRESS)
    for place, count in ((BASE - 4, 2), (END - 8, 3), (CONTROL - 4, 2), (CONTROL + 4092, 2), (0xFFFFFFFC, 64)):
        await bridge.refused(request(READ, 99, place, count=count), BAD_ADDRESS)
        await bridge.refused(request(WRITE, 98, place, random_words(count)), BAD_ADDRESS)
    assert bridge.registers.accesses == accesses
    assert await bridge.content(BASE, 64) == tuple(words)
    assert await bridge.counters() == (0, 0, 0), "nothing was wrong with the line"


@cocotb.test()
async def an_error_of_the_kernel_ends_a_request(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    bridge.registers.faulty = {0x48}
    before = bytes(bridge.registers.cells)
    words = random_words(5)
    await bridge.refused(request(WRITE, 7, CONTROL + 0x40, words), BAD_ADDRESS)
    assert bridge.registers.cells[0x40:0x48] == words_to_bytes(words[:2]), "what came before it"
    assert bridge.registers.cells[0x48:] == before[0x48:]
    await bridge.refused(request(WRITE, 7, CONTROL + 0x40, words), BAD_ADDRESS)
    await bridge.refused(request(READ, 8, CONTROL + 0x40, count=4), BAD_ADDRESS)
    assert bridge.registers.accesses == 6, "the repeated write was not done again"
    assert await bridge.content(CONTROL + 0x40, 2) == tuple(words[:2])
    await bridge.lives()


@cocotb.test()
async def damaged_bits_are_noticed_wherever_they_are(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    words = random_words(4)
    await bridge.ask(WRITE, BASE, words)
    whole = request(WRITE, 200, BASE, random_words(4))
    count = 0
    for place in (1, *range(4, len(whole))):  # not op and length, with which it would be shorter or longer
        bad = bytearray(whole)
        bad[place] ^= 1 << random.randrange(8)
        await bridge.refused(bytes(bad), BAD_CRC)
        count += 1
    assert (await bridge.counters()) == (count, 0, 0)
    for place in (0, 2, 3):
        for bit in random.sample(range(8), 4):
            bad = bytearray(whole)
            bad[place] ^= 1 << bit
            await bridge.send(bytes(bad))
            await Timer((TIMEOUT_BITS + 100) * BIT_NS, "ns")
            got = bridge.sink.read_nowait()
            assert not got or got[2] == BAD_CRC and len(got) == 6, got.hex()
    assert await bridge.content(BASE, 4) == tuple(words)
    await bridge.done(whole)
    await bridge.lives()


@cocotb.test()
async def framing_errors_are_counted_and_spoil_a_request(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    words = random_words(2)
    await bridge.ask(WRITE, BASE, words)
    for byte in (0x00, 0xA5, 0xFF):
        await bridge.send_bits(byte, stop=0)
        await Timer(2 * BIT_NS, "ns")
        assert await bridge.content(BASE, 2) == tuple(words), "between requests it is noise"
    whole = request(WRITE, 201, BASE, random_words(2))
    for place in range(1, len(whole)):
        for i, byte in enumerate(whole):
            await bridge.send_bits(byte, stop=int(i != place))
            if i == place:
                await Timer(BIT_NS, "ns")
        assert response(await bridge.receive(6)) == Response(201, BAD_FRAMING, ()), place
    assert await bridge.counters() == (0, 3 + len(whole) - 1, 0)
    assert await bridge.content(BASE, 2) == tuple(words)
    await bridge.done(whole)


@cocotb.test()
async def breaks_are_one_framing_error_each(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    for bits in (11, 37, 300):
        await bridge.level(0, bits)
        await Timer(2 * BIT_NS, "ns")
    await bridge.silence(20)
    assert await bridge.counters() == (0, 3, 0)
    await bridge.send(request(WRITE, 3, BASE, [1, 2])[:9])
    await bridge.level(0, 40)
    await bridge.forgotten()
    assert await bridge.counters() == (0, 4, 1)
    await bridge.lives()


@cocotb.test()
async def short_pulses_are_no_start_bits_and_turned_samples_are_outvoted(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    for bits in (0.13, 0.25, 0.4):
        for _ in range(5):
            await bridge.level(0, bits)
            await Timer(random.randrange(3, 15) * BIT_NS, "ns")
    words = random_words(6)
    for byte in request(WRITE, 202, BASE, words):
        await bridge.send_bits(byte, glitch=True)
    assert response(await bridge.receive(6)) == Response(202, OK, ())
    assert await bridge.content(BASE, 6) == tuple(words)
    assert await bridge.counters() == (0, 0, 0)


@cocotb.test()
async def noise_between_requests_is_stepped_over(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    for _ in range(6):
        await bridge.send(bytes(random.choice([b for b in range(256) if b != 0xA5]) for _ in range(20)))
        await bridge.lives()
    assert await bridge.counters() == (0, 0, 0)
    for _ in range(4):  # what looks like a request takes what follows for a part of it, until both are over
        await bridge.send(b"\xa5" + random.randbytes(random.randrange(9)))
        await Timer((TIMEOUT_BITS + 20) * BIT_NS, "ns")
        bridge.sink.clear()
        await bridge.lives()


@cocotb.test()
async def a_request_that_stops_anywhere_is_dropped(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    words = random_words(2)
    await bridge.ask(WRITE, BASE, words)
    whole = request(WRITE, 203, BASE, random_words(2))
    for count in range(1, len(whole)):
        await bridge.send(whole[:count])
        await bridge.forgotten()
    assert await bridge.counters() == (0, 0, len(whole) - 1)
    assert await bridge.content(BASE, 2) == tuple(words)
    for byte in whole[:-1]:
        await bridge.send(bytes([byte]))
        await bridge.silence(TIMEOUT_BITS - 20)
    await bridge.send(whole[-1:])
    assert response(await bridge.receive(6)) == Response(203, OK, ()), "a slow one is none that stops"


@cocotb.test()
async def a_repeated_write_is_answered_and_not_done_again(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    first, second = request(WRITE, 50, CONTROL, [1]), request(WRITE, 50, CONTROL, [2])
    await bridge.done(first)
    for again in (first, second, second):
        await bridge.done(again)
        assert bridge.registers.accesses == 1 and bridge.registers.cells[0] == 1
    await bridge.refused(request(WRITE, 50, CONTROL, [3], crc_xor=1), BAD_CRC)
    await bridge.done(second)
    assert bridge.registers.accesses == 1, "what was not done does not count"
    await bridge.done(request(READ, 50, CONTROL, count=1))
    await bridge.done(request(READ, 50, CONTROL, count=1))
    assert bridge.registers.accesses == 3, "reads are done again"
    await bridge.done(request(WRITE, 51, CONTROL, [4]))
    assert bridge.registers.cells[0] == 4
    await bridge.refused(request(WRITE, 52, END, [4]), BAD_ADDRESS)
    await bridge.refused(request(WRITE, 52, CONTROL, [5]), BAD_ADDRESS)
    await bridge.done(request(IDENTIFY, 53, count=8))
    await bridge.done(request(WRITE, 52, CONTROL, [6]))
    assert bridge.registers.cells[0] == 6
    await bridge.reset()
    await bridge.done(request(WRITE, 52, CONTROL, [7]))
    assert bridge.registers.cells[0] == 7, "a reset forgets the last one"


@cocotb.test()
async def requests_follow_answers_at_once(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    for i in range(12):
        words = random_words(2)
        for data, count in ((request(WRITE, 2 * i, BASE, words), 6), (request(READ, 2 * i + 1, BASE, count=2), 14)):
            await bridge.send(data)
            while bridge.sink.count() < count:
                await bridge.sink.wait()
                bridge.sink.sync.clear()
                if bridge.sink.count() < count:
                    await bridge.sink.sync.wait()
            got = response(bytes(bridge.sink.read_nowait()))  # in the middle of its stop bit
        assert got.words == tuple(words)


@cocotb.test()
async def what_comes_before_the_answer_is_over_is_dropped(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    words = random_words(64)
    await bridge.ask(WRITE, BASE, words)
    early = request(WRITE, 99, BASE, random_words(3))
    await bridge.send(request(READ, 98, BASE, count=64) + early)
    assert response(await bridge.receive(262)).words == tuple(words)
    assert await bridge.content(BASE, 64) == tuple(words)
    for _ in range(5):
        await bridge.send(request(READ, 97, BASE, count=2) + random.randbytes(random.randrange(60)))
        await Timer((TIMEOUT_BITS + 300) * BIT_NS, "ns")
        bridge.sink.clear()
        await bridge.lives()


async def differ(dut: Any, bit_ns: int) -> None:
    bridge = await Bridge.start(dut, bit_ns)
    for count in (1, 20):
        words = [0, 0xFFFFFFFF, 0x00FF00FF, *random_words(17)][:count]
        await bridge.ask(WRITE, BASE, words)
        assert await bridge.content(BASE, count) == tuple(words)
    assert await bridge.counters() == (0, 0, 0)


@cocotb.test()
async def a_host_may_be_two_in_a_hundred_too_fast(dut: Any) -> None:
    await differ(dut, BIT_NS - 2)  # 2.5 %


@cocotb.test()
async def a_host_may_be_two_in_a_hundred_too_slow(dut: Any) -> None:
    await differ(dut, BIT_NS + 2)


@cocotb.test()
async def a_reset_in_the_middle_leaves_nothing_behind(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    whole = request(READ, 60, BASE, count=4)
    for bits in (*random.sample(range(10 * len(whole)), 8), *random.sample(range(101, 300), 8)):
        sending = cocotb.start_soon(bridge.send(whole))
        await Timer(bits * BIT_NS + random.randrange(BIT_NS), "ns")
        await bridge.reset()
        assert int(dut.txd.value)
        await sending
        await Timer((TIMEOUT_BITS + 250) * BIT_NS, "ns")
        bridge.sink.clear()
        await bridge.lives()


@cocotb.test()
async def both_sides_of_a_bank_see_the_same_words(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    words, master = random_words(64), bridge.master()
    await bridge.ask(WRITE, BASE + 512, words)
    found = await master.read(BASE + 512, 256, arid=0)
    assert bytes(found.data) == words_to_bytes(words)
    await master.write(BASE + BANK_BYTES + 1024, words_to_bytes(words), awid=0)
    assert await bridge.content(BASE + BANK_BYTES + 1024, 64) == tuple(words)
    for bank in range(BANKS):
        await bridge.ask(WRITE, BASE + bank * BANK_BYTES + 4, [bank])
    assert [(await bridge.content(BASE + bank * BANK_BYTES + 4, 1))[0] for bank in range(BANKS)] == list(range(BANKS))


@cocotb.test()
async def random_requests_leave_what_a_model_has(dut: Any) -> None:
    bridge = await Bridge.start(dut)
    model = {CONTROL: [0] * 16, BASE + 2 * BANK_BYTES - 32: [0] * 16}
    for base, words in model.items():
        await bridge.ask(WRITE, base, words)
    for _ in range(60):
        base = random.choice(list(model))
        at, count = random.randrange(16), random.randint(1, 16)
        count = min(count, 16 - at)
        if random.random() < 0.5:
            model[base][at : at + count] = random_words(count)
            await bridge.ask(WRITE, base + 4 * at, model[base][at : at + count])
        else:
            assert await bridge.content(base + 4 * at, count) == tuple(model[base][at : at + count])
    await ClockCycles(dut.clk, 2)
    assert await bridge.counters() == (0, 0, 0)
