// SPDX-License-Identifier: MIT
//
// This module provides: the unwinder (unwind.hpp).
//
// Not recognised are epilogues: an exception can come from one only when the stack itself is damaged, and no return address lies in one.

#include "image/unwind.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <cstring>

#include "core/world.hpp"

extern "C" {
__attribute__((visibility("hidden"))) extern const char fltsim_runtime_begin[], fltsim_runtime_end[];
}

namespace fltsim::image {

namespace {

enum Operation {
    PUSH_NONVOL = 0,
    ALLOC_LARGE = 1,
    ALLOC_SMALL = 2,
    SET_FPREG = 3,
    SAVE_NONVOL = 4,
    SAVE_NONVOL_FAR = 5,
    EPILOG = 6,
    SPARE = 7,
    SAVE_XMM128 = 8,
    SAVE_XMM128_FAR = 9,
    PUSH_MACHFRAME = 10,
};

constexpr size_t FRAMES_MAX = 64;

uint64_t word_at(uint64_t address) {
    uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const void *>(address), sizeof value);
    return value;
}

uint64_t pop(Context &context) {
    const uint64_t value = word_at(context.integer[RSP]);
    context.integer[RSP] += 8;
    return value;
}

/// How many 16-bit slots an operation takes.
unsigned slots_of(unsigned operation, unsigned info) {
    switch (operation) {
    case ALLOC_LARGE:
        return info == 0 ? 2 : 3;
    case SAVE_NONVOL:
    case SAVE_XMM128:
        return 2;
    case EPILOG:
        return 1;
    case SAVE_NONVOL_FAR:
    case SAVE_XMM128_FAR:
        return 3;
    case SPARE:
        return 3;
    default:
        return 1;
    }
}

uint32_t long_operand(const uint16_t *codes) {
    return codes[1] | (uint32_t{codes[2]} << 16);
}

uint64_t frame_offset_of(const UnwindInfo &info) {
    return static_cast<uint64_t>(info.frame_register_and_offset >> 4) * 16;
}

/// Undoes what the prologue had done at `offset` in it. True when that was an interrupt's frame, which has rip too.
bool undo(const UnwindInfo &info, uint32_t offset, uint64_t frame_base, Context &context) {
    bool machine_frame = false;
    for (unsigned index = 0; index < info.code_count;) {
        const uint16_t *code = info.codes + index;
        const unsigned operation = (code[0] >> 8) & 15;
        const unsigned operand = code[0] >> 12;
        index += slots_of(operation, operand);
        if ((code[0] & 0xFF) > offset && operation != EPILOG) {
            continue; // not executed yet
        }
        switch (operation) {
        case PUSH_NONVOL:
            context.integer[operand] = pop(context);
            break;
        case ALLOC_LARGE:
            context.integer[RSP] += operand == 0 ? uint64_t{code[1]} * 8 : long_operand(code);
            break;
        case ALLOC_SMALL:
            context.integer[RSP] += uint64_t{operand} * 8 + 8;
            break;
        case SET_FPREG:
            context.integer[RSP] = context.integer[info.frame_register_and_offset & 15] - frame_offset_of(info);
            break;
        case SAVE_NONVOL:
            context.integer[operand] = word_at(frame_base + uint64_t{code[1]} * 8);
            break;
        case SAVE_NONVOL_FAR:
            context.integer[operand] = word_at(frame_base + long_operand(code));
            break;
        case SAVE_XMM128:
            std::memcpy(context.xmm[operand], reinterpret_cast<const void *>(frame_base + uint64_t{code[1]} * 16), 16);
            break;
        case SAVE_XMM128_FAR:
            std::memcpy(context.xmm[operand], reinterpret_cast<const void *>(frame_base + long_operand(code)), 16);
            break;
        case PUSH_MACHFRAME:
            context.integer[RSP] += operand != 0 ? 8 : 0; // an error code
            context.rip = word_at(context.integer[RSP]);
            context.integer[RSP] = word_at(context.integer[RSP] + 24);
            machine_frame = true;
            break;
        default:
            break;
        }
    }
    return machine_frame;
}

/// Where what belongs to the function's frame is counted from.
uint64_t frame_base_of(const UnwindInfo &info, uint32_t offset, bool chained, const Context &context) {
    const unsigned frame_register = info.frame_register_and_offset & 15;
    bool set = frame_register != 0 && (chained || offset >= info.prolog_bytes);
    for (unsigned index = 0; frame_register != 0 && !set && index < info.code_count;) {
        const unsigned operation = (info.codes[index] >> 8) & 15;
        set = operation == SET_FPREG && offset >= (info.codes[index] & 0xFFu);
        index += slots_of(operation, info.codes[index] >> 12);
    }
    return set ? context.integer[frame_register] - frame_offset_of(info) : context.integer[RSP];
}

} // namespace

bool unwind_frame(Context &context, unsigned kind, Frame *frame) {
    *frame = {};
    const auto *pc = reinterpret_cast<const char *>(context.rip);
    PeImage *image = image_at(context.rip);
    if (image == nullptr && (pc < fltsim_runtime_begin || pc >= fltsim_runtime_end)) {
        return false;
    }
    frame->image = image;
    const auto rva = image != nullptr ? static_cast<uint32_t>(context.rip - image->base()) : 0;
    const RuntimeFunction *function = image != nullptr ? image->function_at(rva) : nullptr;
    if (function == nullptr) {
        frame->establisher = context.integer[RSP];
        context.rip = pop(context);
        return true;
    }
    frame->function = function;
    uint32_t offset = rva - function->begin;
    bool chained = false;
    bool machine_frame = false;
    for (;;) {
        if ((function->unwind_info & 1) != 0) { // an entry that only points to another
            function = reinterpret_cast<const RuntimeFunction *>(image->base() + (function->unwind_info & ~1u));
            offset = UINT32_MAX;
            continue;
        }
        const auto &info = *reinterpret_cast<const UnwindInfo *>(image->base() + function->unwind_info);
        const unsigned flags = info.version_and_flags >> 3;
        const auto *after = reinterpret_cast<const uint8_t *>(info.codes + ((info.code_count + 1u) & ~1u));
        const uint64_t frame_base = frame_base_of(info, offset, chained, context);
        if (!chained) {
            frame->establisher = frame_base;
        }
        machine_frame = undo(info, offset, frame_base, context) || machine_frame;
        if ((flags & kind) != 0 && offset >= info.prolog_bytes) {
            uint32_t handler = 0;
            std::memcpy(&handler, after, sizeof handler);
            frame->handler = reinterpret_cast<LanguageHandler>(image->base() + handler);
            frame->handler_data = after + sizeof handler;
        }
        if ((flags & UNWIND_CHAINED) == 0) {
            break;
        }
        function = reinterpret_cast<const RuntimeFunction *>(after);
        chained = true;
        offset = UINT32_MAX; // the whole prologue of what it is a part of
    }
    if (!machine_frame) {
        context.rip = pop(context);
    }
    return true;
}

std::vector<std::string> stack_of(Context context) {
    std::vector<std::string> lines;
    Frame frame;
    for (size_t count = 0; count < FRAMES_MAX; ++count) {
        const uint64_t at = context.rip;
        if (!unwind_frame(context, 0, &frame)) {
            break;
        }
        if (frame.image != nullptr) {
            lines.push_back(frame.image->describe(at));
        }
    }
    return lines;
}

std::vector<std::string> stack_at_gate() {
    const World *here = world_or_null();
    if (here == nullptr || executing().gate.rip == 0) {
        return {};
    }
    return stack_of(context_of(executing().gate));
}

Context context_of(const GateRecord &record) {
    Context context{};
    context.context_flags = CONTEXT_ALL;
    context.mxcsr = 0x1F80;
    context.eflags = 0x202;
    context.rip = record.rip;
    context.integer[RSP] = record.rsp;
    context.integer[RBX] = record.rbx;
    context.integer[RBP] = record.rbp;
    context.integer[RSI] = record.rsi;
    context.integer[RDI] = record.rdi;
    context.integer[R12] = record.r12;
    context.integer[R13] = record.r13;
    context.integer[R14] = record.r14;
    context.integer[R15] = record.r15;
    std::memcpy(context.xmm[6], record.xmm, sizeof record.xmm);
    return context;
}

} // namespace fltsim::image

#endif
