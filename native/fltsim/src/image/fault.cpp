// SPDX-License-Identifier: MIT
//
// This module provides: take_signal (dispatch.hpp): from a host's signal to what Windows makes of it.
//
// Invariants: the signal handler only reads and writes registers and the thread's own stack; everything else happens after it has returned, on
// that stack (fltsim_fault_landing), where model code may run and switch threads.

#include "image/fault.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <sys/ucontext.h>
#include <ucontext.h>

#include <cstring>
#include <new>

#include "core/world.hpp"
#include "image/dispatch.hpp"
#include "image/unwind.hpp"

extern "C" {
__attribute__((visibility("hidden"))) extern const char fltsim_runtime_begin[], fltsim_runtime_end[];
__attribute__((visibility("hidden"))) void fltsim_fault_landing();
__attribute__((visibility("hidden"),
               tls_model("initial-exec"))) extern thread_local fltsim::image::GateRecord *fltsim_gate;
}
thread_local fltsim::image::GateRecord *fltsim_gate = nullptr;

namespace fltsim::image {

namespace {

/// Registers of the host's context, as Windows numbers them.
constexpr int GREGS[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                         REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/// Kept free below the stack pointer: the host's code has a red zone of 128 bytes.
constexpr uint64_t RED_ZONE = 256;
constexpr uint32_t FLAGS_TRAP_AND_DIRECTION = 0x100 | 0x400;
constexpr greg_t PAGE_FAULT_WRITE = 2;
constexpr greg_t PAGE_FAULT_FETCH = 16;
constexpr uint32_t BREAKPOINT = 0x80000003;
constexpr uint32_t INTEGER_DIVIDE_BY_ZERO = 0xC0000094;
constexpr uint32_t ILLEGAL_INSTRUCTION = 0xC000001D;

void read_context(const ucontext_t &host, Context *context) {
    context->context_flags = CONTEXT_ALL;
    for (size_t index = 0; index < std::size(GREGS); ++index) {
        context->integer[index] = static_cast<uint64_t>(host.uc_mcontext.gregs[GREGS[index]]);
    }
    context->rip = static_cast<uint64_t>(host.uc_mcontext.gregs[REG_RIP]);
    context->eflags = static_cast<uint32_t>(host.uc_mcontext.gregs[REG_EFL]) & ~0x100u;
    context->mxcsr = 0x1F80;
    if (host.uc_mcontext.fpregs != nullptr) {
        context->mxcsr = host.uc_mcontext.fpregs->mxcsr;
        std::memcpy(context->xmm, host.uc_mcontext.fpregs->_xmm, sizeof context->xmm);
    }
}

void write_integers(const Context &context, ucontext_t *host) {
    for (size_t index = 0; index < std::size(GREGS); ++index) {
        host->uc_mcontext.gregs[GREGS[index]] = static_cast<greg_t>(context.integer[index]);
    }
    host->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(context.rip);
}

ExceptionRecord record_of(int signal, const siginfo_t &info, const ucontext_t &host, Context *context) {
    ExceptionRecord record{};
    record.address = context->rip;
    switch (signal) {
    case SIGILL:
        record.code = ILLEGAL_INSTRUCTION;
        break;
    case SIGFPE:
        record.code = INTEGER_DIVIDE_BY_ZERO;
        break;
    case SIGTRAP:
        record.code = BREAKPOINT;
        record.address = --context->rip; // the processor stands behind the one-byte instruction
        break;
    default: {
        const greg_t error = host.uc_mcontext.gregs[REG_ERR];
        record.code = static_cast<uint32_t>(STATUS_ACCESS_VIOLATION);
        record.parameter_count = 2;
        record.parameters[0] = (error & PAGE_FAULT_FETCH) != 0 ? 8 : (error & PAGE_FAULT_WRITE) != 0 ? 1 : 0;
        // A general protection fault has no address: as Windows says it.
        record.parameters[1] = info.si_code == SI_KERNEL ? UINT64_MAX : reinterpret_cast<uint64_t>(info.si_addr);
    }
    }
    return record;
}

} // namespace

void set_gate(GateRecord *record) {
    fltsim_gate = record;
}

bool take_signal(int signal, siginfo_t *info, void *raw, bool for_gate) {
    auto &host = *static_cast<ucontext_t *>(raw);
    const auto rip = static_cast<uint64_t>(host.uc_mcontext.gregs[REG_RIP]);
    const auto rsp = static_cast<uint64_t>(host.uc_mcontext.gregs[REG_RSP]);
    const auto *pc = reinterpret_cast<const char *>(rip);
    const bool in_image = image_at(rip) != nullptr;
    const bool in_runtime = pc >= fltsim_runtime_begin && pc < fltsim_runtime_end &&
                            image_at(*reinterpret_cast<const uint64_t *>(rsp)) != nullptr;
    if (!in_image && !in_runtime && (!for_gate || !called_by_image())) {
        return false;
    }
    auto *fault = new (reinterpret_cast<void *>((rsp - RED_ZONE - sizeof(Fault)) & ~uint64_t{63})) Fault;
    read_context(host, &fault->context);
    if (in_image && signal == SIGSEGV) {
        switch (emulate(fault, reinterpret_cast<uint64_t>(info->si_addr))) {
        case Emulated::Done:
            write_integers(fault->context, &host);
            return true;
        case Emulated::FastFail:
            fault->fast_fail = true;
            break;
        case Emulated::No:
        case Emulated::Unmodelled:
            break;
        }
    }
    fault->record = record_of(signal, *info, host, &fault->context);
    if (!in_image && !in_runtime) {
        fault->context = context_of(executing().gate);
        fault->record.address = fault->context.rip;
    }
    host.uc_mcontext.gregs[REG_RDI] = static_cast<greg_t>(reinterpret_cast<uint64_t>(fault));
    host.uc_mcontext.gregs[REG_RSP] = static_cast<greg_t>(reinterpret_cast<uint64_t>(fault));
    host.uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(reinterpret_cast<uint64_t>(&fltsim_fault_landing));
    host.uc_mcontext.gregs[REG_EFL] &= ~static_cast<greg_t>(FLAGS_TRAP_AND_DIRECTION);
    return true;
}

} // namespace fltsim::image

#endif
