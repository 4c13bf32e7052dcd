// SPDX-License-Identifier: MIT
//
// This module provides: the exception dispatcher (dispatch.hpp).
//
// Invariants: it runs on the faulting thread's own stack, below everything that it walks; nothing in it owns anything when it leaves for a handler,
// because it never comes back.

#include "image/dispatch.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <string>
#include <type_traits>

#include "core/world.hpp"
#include "image/fault.hpp"
#include "image/text.hpp"
#include "image/unwind.hpp"

extern "C" {
[[noreturn]] __attribute__((visibility("hidden"))) void fltsim_restore_context(const fltsim::image::Context *context);
}

namespace fltsim::image {

namespace {

using Filter = int32_t(__attribute__((ms_abi)) *)(ExceptionPointers *, uint64_t establisher);
using Termination = void(__attribute__((ms_abi)) *)(uint8_t abnormal, uint64_t establisher);

constexpr uint32_t ALWAYS = 1;
constexpr uint32_t MAX_FRAMES = 4096;

std::string describe(const ExceptionRecord &record) {
    std::string text = "status " + hex(record.code);
    if (record.code == static_cast<uint32_t>(STATUS_ACCESS_VIOLATION) && record.parameter_count == 2) {
        static constexpr const char *HOW[] = {"reading", "writing"};
        text += std::string(", ") + (record.parameters[0] < 2 ? HOW[record.parameters[0]] : "executing") + " address " +
                hex(record.parameters[1]);
    }
    return text;
}

/// The stack in the world's history, then the stop.
[[noreturn]] void unhandled(const ExceptionRecord &record, const Context &context, const char *api) {
    const bool page_fault =
        record.code == static_cast<uint32_t>(STATUS_ACCESS_VIOLATION) && executing().irql >= DISPATCH_LEVEL;
    bugcheck(page_fault ? "V14 page fault at DISPATCH_LEVEL" : "KMODE_EXCEPTION_NOT_HANDLED", api,
             describe(record) +
                 (page_fault ? ": touch a caller's memory below DISPATCH_LEVEL," : " raised outside __try,") +
                 joined(stack_of(context)));
}

/// Second pass: runs the termination handlers from `from` up to the frame `establisher`, then goes on there at `target`.
[[noreturn]] void unwind_to(uint64_t establisher, uint64_t target, ExceptionRecord *record, const Context *from) {
    Context context = *from;
    record->flags |= EXCEPTION_UNWINDING;
    for (uint32_t count = 0; count < MAX_FRAMES; ++count) {
        Context here = context;
        Frame frame;
        if (!unwind_frame(context, UNWIND_TERMINATION_HANDLER, &frame)) {
            break;
        }
        const bool last = frame.establisher == establisher && frame.function != nullptr;
        if (frame.handler != nullptr) {
            record->flags = last ? record->flags | EXCEPTION_TARGET_UNWIND : record->flags;
            DispatcherContext dispatcher{};
            dispatcher.control_pc = here.rip;
            dispatcher.image_base = frame.image->base();
            dispatcher.function = frame.function;
            dispatcher.establisher = frame.establisher;
            dispatcher.target_ip = target;
            dispatcher.context = &here;
            dispatcher.handler = frame.handler;
            dispatcher.handler_data = frame.handler_data;
            (void)frame.handler(record, frame.establisher, &here, &dispatcher);
        }
        if (last) {
            here.rip = target;
            here.integer[RAX] = record->code; // what GetExceptionCode gives in the handler
            fltsim_restore_context(&here);
        }
    }
    bugcheck("SEH unwinding went past its target", "__except", "the stack of the image's code is damaged");
}

/// First pass: asks the handlers, innermost frame first.
[[noreturn]] void dispatch(ExceptionRecord *record, Context *context, const char *api) {
    static_assert(std::is_trivially_destructible_v<Frame>);
    Context walk = *context;
    for (uint32_t count = 0; count < MAX_FRAMES; ++count) {
        Context here = walk;
        Frame frame;
        if (!unwind_frame(walk, UNWIND_EXCEPTION_HANDLER, &frame)) {
            break;
        }
        if (frame.handler == nullptr) {
            continue;
        }
        DispatcherContext dispatcher{};
        dispatcher.control_pc = here.rip;
        dispatcher.image_base = frame.image->base();
        dispatcher.function = frame.function;
        dispatcher.establisher = frame.establisher;
        dispatcher.context = &here;
        dispatcher.handler = frame.handler;
        dispatcher.handler_data = frame.handler_data;
        if (frame.handler(record, frame.establisher, context, &dispatcher) == Disposition::ContinueExecution) {
            if ((record->flags & EXCEPTION_NONCONTINUABLE) != 0) {
                break;
            }
            fltsim_restore_context(context);
        }
    }
    unhandled(*record, *context, api);
}

} // namespace

Disposition __attribute__((ms_abi)) c_specific_handler(ExceptionRecord *record, uint64_t establisher, Context *context,
                                                       DispatcherContext *dispatcher) {
    const auto *table = static_cast<const ScopeTable *>(dispatcher->handler_data);
    const uint64_t base = dispatcher->image_base;
    const uint64_t pc = dispatcher->control_pc - base;
    const uint64_t target = dispatcher->target_ip - base;
    const bool unwinding = (record->flags & EXCEPTION_UNWINDING) != 0;
    for (uint32_t &index = dispatcher->scope_index; index < table->count;) {
        const ScopeRecord &scope = table->scopes[index++];
        if (pc < scope.begin || pc >= scope.end) {
            continue;
        }
        if (unwinding) {
            const bool last = (record->flags & EXCEPTION_TARGET_UNWIND) != 0;
            if (scope.target != 0) {
                if (last && target == scope.target) {
                    break; // where it is handled; what is around it stays
                }
                continue;
            }
            if (last && target >= scope.begin && target < scope.end) {
                break; // the handler is inside this block, which is not left
            }
            reinterpret_cast<Termination>(base + scope.handler)(1, establisher);
            continue;
        }
        if (scope.target == 0) {
            continue;
        }
        ExceptionPointers pointers{record, context};
        const int32_t answer =
            scope.handler == ALWAYS ? 1 : reinterpret_cast<Filter>(base + scope.handler)(&pointers, establisher);
        if (answer < 0) {
            return Disposition::ContinueExecution;
        }
        if (answer > 0) {
            unwind_to(establisher, base + scope.target, record, context);
        }
    }
    return Disposition::ContinueSearch;
}

bool called_by_image() {
    return executing().gate.rip != 0;
}

void raise_at_gate(NTSTATUS code, const char *api) {
    abandon_kernel_calls();
    Context context = context_of(executing().gate);
    ExceptionRecord record{};
    record.code = static_cast<uint32_t>(code);
    record.address = context.rip;
    dispatch(&record, &context, api);
}

extern "C" {
__attribute__((visibility("hidden"))) extern const char fltsim_memcpy_overlaps[];
}

/// A fault: `frame` lies on this stack, above.
extern "C" [[noreturn]] __attribute__((visibility("hidden"))) void fltsim_fault(Fault *fault) {
    Context &context = fault->context;
    const PeImage *image = image_at(context.rip);
    if (context.rip == reinterpret_cast<uint64_t>(fltsim_memcpy_overlaps)) {
        bugcheck("C4/F0 memcpy of overlapping memory", "memcpy",
                 "memmove, or RtlMoveMemory, is for that" + joined(stack_of(context)));
    }
    if (fault->fast_fail) {
        stop_by_fast_fail(context, stack_of(context));
    }
    if (fault->unmodelled[0] != 0) {
        unmodelled("driver code", fault->unmodelled + joined(stack_of(context)));
    }
    if (image != nullptr && image->discarded(static_cast<uint32_t>(context.rip - image->base()))) {
        Context caller = context;
        caller.rip = *reinterpret_cast<const uint64_t *>(context.integer[RSP]);
        caller.integer[RSP] += 8;
        bugcheck("ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY", "discarded code",
                 "code that was discarded after DriverEntry is called: " + image->describe(context.rip) +
                     joined(stack_of(caller)));
    }
    if (executing().irql >= DISPATCH_LEVEL && fault->record.code == static_cast<uint32_t>(STATUS_ACCESS_VIOLATION)) {
        unhandled(fault->record, context, "driver code");
    }
    dispatch(&fault->record, &context, "driver code");
}

} // namespace fltsim::image

#endif
