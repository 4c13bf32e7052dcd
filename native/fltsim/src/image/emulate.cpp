// SPDX-License-Identifier: MIT
//
// This module provides: emulate (fault.hpp): the few instructions by which inline functions of the kernel's headers look at the machine.
//
//   mov reg, gs:[0x188]            KeGetCurrentThread      mov reg, gs:[0x1a4]    the processor's number
//   mov reg, cr8                   KeGetCurrentIrql        int 29h                __fastfail
//   mov reg, [0xFFFFF780000000xx]  KeQuerySystemTime, KeQueryInterruptTime, KeQueryTickCount
//
// Any other privileged instruction is named and stops the world.

#include "image/fault.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <cstdio>
#include <cstring>

#include "core/world.hpp"
#include "image/text.hpp"

namespace fltsim::image {

namespace {

constexpr uint64_t SHARED_PAGE = 0xFFFFF78000000000;
constexpr uint64_t SHARED_BYTES = 4096;
constexpr uint64_t TICK_100NS = 156250;

/// One decoded `mov reg, [memory]`.
struct Load {
    unsigned bytes = 0; ///< of the value
    unsigned target = 0; ///< register
    unsigned length = 0; ///< of the instruction; 0: it is something else
    bool gs = false;
    bool absolute = false; ///< [disp32], no register
    uint32_t displacement = 0;
};

/// 8B /r, with operand size 4 or 8, and A1 (rax from an absolute address).
Load decode_load(const uint8_t *code) {
    Load load;
    const uint8_t *at = code;
    if (*at == 0x65) {
        load.gs = true;
        ++at;
    }
    uint8_t rex = 0;
    if ((*at & 0xF0) == 0x40) {
        rex = *at++;
    }
    load.bytes = (rex & 8) != 0 ? 8 : 4;
    if (*at == 0xA1) {
        load.target = RAX;
        load.absolute = true;
        load.length = static_cast<unsigned>(at + 9 - code);
        return load;
    }
    if (*at++ != 0x8B) {
        return load;
    }
    const uint8_t modrm = *at++;
    const unsigned mod = modrm >> 6;
    const unsigned base = modrm & 7;
    if (mod == 3) {
        return load;
    }
    load.target = ((modrm >> 3) & 7) | ((rex & 4) != 0 ? 8 : 0);
    unsigned displacement_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (base == 4) {
        const uint8_t sib = *at++;
        if (mod == 0 && (sib & 7) == 5) {
            displacement_bytes = 4;
            load.absolute = sib == 0x25;
        }
    } else if (mod == 0 && base == 5) {
        displacement_bytes = 4; // relative to rip
    }
    if (load.absolute) {
        std::memcpy(&load.displacement, at, sizeof load.displacement);
    }
    load.length = static_cast<unsigned>(at + displacement_bytes - code);
    return load;
}

void finish(Context *context, const Load &load, uint64_t value) {
    context->integer[load.target] = load.bytes == 8 ? value : static_cast<uint32_t>(value);
    context->rip += load.length;
}

/// The words of the page that the kernel shares with everybody; true when this one is modelled.
bool shared_word(uint64_t offset, uint64_t *value) {
    const auto part = [&](uint64_t start, uint64_t whole) {
        if (offset != start && offset != start + 4) {
            return false;
        }
        *value = offset == start ? whole : whole >> 32;
        return true;
    };
    return part(0x08, world().interrupt_time_100ns()) || part(0x14, world().system_time_100ns()) ||
           part(0x320, world().interrupt_time_100ns() / TICK_100NS);
}

Emulated refuse(Fault *fault, const char *what, uint64_t number) {
    std::snprintf(fault->unmodelled, sizeof fault->unmodelled, "%s 0x%llx", what,
                  static_cast<unsigned long long>(number));
    return Emulated::Unmodelled;
}

/// Whether only a kernel may execute the instruction: the first byte, or the one after 0F.
bool is_privileged(uint8_t first, uint8_t second) {
    if (first == 0x0F) {
        constexpr uint8_t SECOND[] = {0x00, 0x01, 0x06, 0x08, 0x09, 0x20, 0x21, 0x22, 0x23, 0x30, 0x32, 0x33};
        return std::memchr(SECOND, second, sizeof SECOND) != nullptr;
    }
    constexpr uint8_t FIRST[] = {0xFA, 0xFB, 0xF4, 0xCD, 0xCF, 0xE4, 0xE5, 0xE6, 0xE7, 0xEC, 0xED, 0xEE, 0xEF};
    return std::memchr(FIRST, first, sizeof FIRST) != nullptr;
}

} // namespace

Emulated emulate(Fault *fault, uint64_t address) {
    Context &context = fault->context;
    if (address == context.rip) {
        return Emulated::No; // there is nothing to read there
    }
    const auto *code = reinterpret_cast<const uint8_t *>(context.rip);
    const Load load = decode_load(code);
    if (load.length != 0 && load.gs) {
        if (load.absolute && load.displacement == 0x188) {
            finish(&context, load, reinterpret_cast<uint64_t>(&current_thread()));
            return Emulated::Done;
        }
        if (load.absolute && load.displacement == 0x1A4) {
            finish(&context, load, world().current_processor());
            return Emulated::Done;
        }
        return refuse(fault, "reading the processor's block at gs:", load.displacement);
    }
    if (code[0] == 0x65) {
        return refuse(fault, "an access to the processor's block, instruction byte", code[1]);
    }
    if (address - SHARED_PAGE < SHARED_BYTES) {
        uint64_t value = 0;
        if (load.length != 0 && shared_word(address - SHARED_PAGE, &value)) {
            finish(&context, load, value);
            return Emulated::Done;
        }
        return refuse(fault, "an access to the shared page at offset", address - SHARED_PAGE);
    }
    if (code[0] == 0xCD && code[1] == 0x29) {
        return Emulated::FastFail;
    }
    const unsigned rex = (code[0] & 0xF0) == 0x40 ? code[0] : 0;
    const uint8_t *opcode = code + (rex != 0 ? 1 : 0);
    if ((rex & 4) != 0 && opcode[0] == 0x0F && opcode[1] == 0x20 && ((opcode[2] >> 3) & 7) == 0) {
        context.integer[(opcode[2] & 7) | ((rex & 1) != 0 ? 8 : 0)] = executing().irql;
        context.rip += 4;
        return Emulated::Done;
    }
    if (is_privileged(opcode[0], opcode[1])) {
        return refuse(fault, "a privileged instruction, bytes", opcode[0] * 256u + opcode[1]);
    }
    return Emulated::No;
}

void stop_by_fast_fail(const Context &context, const std::vector<std::string> &stack) {
    const uint64_t code = context.integer[RCX];
    const char *name = code == 2   ? "the stack cookie was overwritten"
                       : code == 3 ? "a list entry is corrupt"
                                   : "see FAST_FAIL_* of the kernel's headers";
    bugcheck("KERNEL_SECURITY_CHECK_FAILURE", "__fastfail",
             "code " + std::to_string(code) + ": " + name + joined(stack));
}

} // namespace fltsim::image

#endif
