// SPDX-License-Identifier: MIT
//
// This module provides: contexts, reference-counted memory that a driver hangs on instances and open files [CTX-01..09].
//
// Invariants: a link (instance or file) holds one reference of its own; the cleanup callback runs exactly once, after the last reference; the
// memory is poisoned then. Over-release is F5/6D while linked and F5/6E after it was freed, as on the real system [CTX-07].

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"

namespace fltsim::flt {

namespace {

/// FileObject::flt_state.
struct FileContexts {
    std::vector<Context *> contexts; ///< at most one for each instance
};

Context &context_of(PFLT_CONTEXT body, const char *api) {
    auto &m = manager();
    const auto found = m.contexts.find(body);
    if (found != m.contexts.end() && found->second->references > 0) {
        return *found->second;
    }
    bugcheck("F5/6E context referenced after free", api,
             found != m.contexts.end() || m.memory.released(body)
                 ? "the context was freed already: its last reference is gone [CTX-07]"
                 : "the pointer is not a context");
}

void destroy(Context *context) {
    if (context->cleanup) {
        DriverCall driver("context cleanup callback");
        context->cleanup(context->body, context->type);
    }
    auto &m = manager();
    void *body = context->body;
    m.contexts.erase(body);
    m.memory.release(body);
}

void release(Context &context, const char *api) {
    if (context.linked && context.references == 1) {
        bugcheck("F5/6D context over-released", api,
                 "the last reference went while the context is still attached [CTX-07]");
    }
    if (--context.references > 0) {
        return;
    }
    if (executing().irql > APC_LEVEL) {
        // The cleanup callback runs at APC_LEVEL or below [CTX-05].
        queue_work(manager().delayed, [pointer = &context] { destroy(pointer); });
        return;
    }
    destroy(&context);
}

NTSTATUS set(Context *&slot, PFLT_CONTEXT new_body, FLT_CONTEXT_TYPE type, FLT_SET_CONTEXT_OPERATION operation,
             PFLT_CONTEXT *old, Instance &instance, const char *api) {
    if (old) {
        *old = nullptr;
    }
    Context &context = context_of(new_body, api);
    if (context.type != type || context.filter != instance.filter) {
        return STATUS_INVALID_PARAMETER;
    }
    if (operation != FLT_SET_CONTEXT_REPLACE_IF_EXISTS && operation != FLT_SET_CONTEXT_KEEP_IF_EXISTS) {
        return STATUS_INVALID_PARAMETER;
    }
    if (instance.deleting()) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if (context.linked) {
        return STATUS_FLT_CONTEXT_ALREADY_LINKED;
    }
    Context *before = slot;
    if (before && operation == FLT_SET_CONTEXT_KEEP_IF_EXISTS) {
        if (old) {
            ++before->references;
            *old = before->body;
        }
        return STATUS_FLT_CONTEXT_ALREADY_DEFINED;
    }
    ++context.references;
    context.linked = true;
    context.instance = &instance;
    slot = &context;
    if (before) {
        before->linked = false;
        if (before->file) {
            instance.file_contexts.remove(before);
            before->file = nullptr;
        }
        if (old) {
            *old = before->body; // the link's reference becomes the caller's
        } else {
            release(*before, api);
        }
    }
    return STATUS_SUCCESS;
}

NTSTATUS get(const Context *slot, PFLT_CONTEXT *body) {
    *body = nullptr;
    if (!slot) {
        return STATUS_NOT_FOUND;
    }
    ++const_cast<Context *>(slot)->references;
    *body = slot->body;
    return STATUS_SUCCESS;
}

/// Open, not a volume, not closed [CTX-06].
bool supports_handle_contexts(const std::shared_ptr<io::FileObject> &file) {
    return file && file->fcb && (file->native.Flags & (FO_VOLUME_OPEN | FO_STREAM_FILE)) == 0;
}

} // namespace

void unlink_context(Context &context, const char *api) {
    context.linked = false;
    if (context.file) {
        auto &contexts = static_cast<FileContexts *>(context.file->flt_state.get())->contexts;
        std::erase(contexts, &context);
        context.instance->file_contexts.remove(&context);
        context.file = nullptr;
    } else {
        context.instance->context = nullptr;
    }
    context.instance = nullptr;
    release(context, api);
}

void report_context_leaks(const Filter &filter) {
    auto &m = manager();
    std::map<FLT_CONTEXT_TYPE, int> leaked;
    std::erase_if(m.contexts, [&](const auto &entry) {
        if (entry.second->filter != &filter || entry.second->references == 0) { // 0: its cleanup is on the way
            return false;
        }
        ++leaked[entry.second->type];
        m.memory.release(entry.first);
        return true;
    });
    for (const auto &[type, count] : leaked) {
        const char *name = type == FLT_INSTANCE_CONTEXT       ? "instance"
                           : type == FLT_STREAMHANDLE_CONTEXT ? "stream-handle"
                                                              : "other";
        world().leak("filter " + narrow(filter.name) + ": " + std::to_string(count) + " " + name +
                     " context(s) were not released (V10)");
    }
}

void FilterManager::file_closed(io::FileObject &file) {
    KernelCall kernel("IRP_MJ_CLOSE", APC_LEVEL);
    if (auto *contexts = static_cast<FileContexts *>(file.flt_state.get())) {
        while (!contexts->contexts.empty()) {
            unlink_context(*contexts->contexts.front(), "IRP_MJ_CLOSE");
        }
    }
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// A context with one reference, not zeroed. STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND when no registration fits,
/// STATUS_FLT_DELETING_OBJECT, STATUS_INSUFFICIENT_RESOURCES [CTX-02]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltAllocateContext(PFLT_FILTER Filter, FLT_CONTEXT_TYPE ContextType, SIZE_T ContextSize,
                                                 POOL_TYPE PoolType, PFLT_CONTEXT *ReturnedContext) {
    KernelCall call("FltAllocateContext", APC_LEVEL);
    const auto filter = filter_of(Filter, "FltAllocateContext");
    *ReturnedContext = nullptr;
    if (const auto failure = failing("FltAllocateContext")) {
        return *failure;
    }
    if (filter->unregistering) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    const bool paged = PoolType == PagedPool;
    const auto fits =
        std::find_if(filter->contexts.begin(), filter->contexts.end(), [&](const ContextDefinition &definition) {
            if (definition.type != ContextType) {
                return false;
            }
            const bool inexact = (definition.flags & FLTFL_CONTEXT_REGISTRATION_NO_EXACT_SIZE_MATCH) != 0;
            return definition.variable || (inexact ? ContextSize <= definition.size : ContextSize == definition.size);
        });
    if (fits == filter->contexts.end() || ContextSize > MAXUSHORT || (ContextType == FLT_VOLUME_CONTEXT && paged)) {
        return STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND;
    }
    auto context = std::make_unique<Context>();
    context->filter = filter.get();
    context->type = ContextType;
    context->size = ContextSize;
    context->paged = paged;
    context->cleanup = fits->cleanup;
    context->body = manager().memory.allocate(std::max<size_t>(ContextSize, 1), "context", 0xCC);
    *ReturnedContext = context->body;
    manager().contexts[context->body] = std::move(context);
    return STATUS_SUCCESS;
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltReferenceContext(PFLT_CONTEXT Context) {
    KernelCall call("FltReferenceContext");
    ++context_of(Context, "FltReferenceContext").references;
}

/// Drops a reference; the last one runs the cleanup callback. IRQL <= DISPATCH_LEVEL, <= APC_LEVEL for paged pool [CTX-04].
FLTSIM_KERNEL VOID FLTAPI FltReleaseContext(PFLT_CONTEXT Context) {
    KernelCall call("FltReleaseContext");
    auto &context = context_of(Context, "FltReleaseContext");
    if (context.paged && executing().irql > APC_LEVEL) {
        bugcheck("V5 IRQL too high", "FltReleaseContext", "a context in paged pool is released at DISPATCH_LEVEL");
    }
    release(context, "FltReleaseContext");
}

/// Detaches a context; the caller's reference stays [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltDeleteContext(PFLT_CONTEXT Context) {
    KernelCall call("FltDeleteContext", APC_LEVEL);
    auto &context = context_of(Context, "FltDeleteContext");
    if (context.linked) {
        unlink_context(context, "FltDeleteContext");
    }
}

/// Statuses of [CTX-03]; the caller's allocation reference stays the caller's. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetInstanceContext(PFLT_INSTANCE Instance, FLT_SET_CONTEXT_OPERATION Operation,
                                                    PFLT_CONTEXT NewContext, PFLT_CONTEXT *OldContext) {
    KernelCall call("FltSetInstanceContext", APC_LEVEL);
    const auto instance = instance_of(Instance, "FltSetInstanceContext");
    if (const auto failure = failing("FltSetInstanceContext")) {
        if (OldContext) {
            *OldContext = nullptr;
        }
        return *failure;
    }
    return set(instance->context, NewContext, FLT_INSTANCE_CONTEXT, Operation, OldContext, *instance,
               "FltSetInstanceContext");
}

/// STATUS_NOT_FOUND when there is none; adds a reference [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetInstanceContext(PFLT_INSTANCE Instance, PFLT_CONTEXT *Context) {
    KernelCall call("FltGetInstanceContext", APC_LEVEL);
    const auto instance = instance_of(Instance, "FltGetInstanceContext");
    if (const auto failure = failing("FltGetInstanceContext")) {
        *Context = nullptr;
        return *failure;
    }
    return get(instance->context, Context);
}

/// Statuses of [CTX-03], and STATUS_NOT_SUPPORTED before the create is done, after close and for volumes [CTX-06]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetStreamHandleContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                        FLT_SET_CONTEXT_OPERATION Operation, PFLT_CONTEXT NewContext,
                                                        PFLT_CONTEXT *OldContext) {
    constexpr const char *kApi = "FltSetStreamHandleContext";
    KernelCall call(kApi, APC_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    if (OldContext) {
        *OldContext = nullptr;
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const auto file = FileObject ? io::FileObject::from_native(FileObject) : nullptr;
    if (!supports_handle_contexts(file)) {
        return STATUS_NOT_SUPPORTED;
    }
    if (!file->flt_state) {
        file->flt_state = std::make_shared<FileContexts>();
    }
    auto &contexts = static_cast<FileContexts *>(file->flt_state.get())->contexts;
    const auto found = std::find_if(contexts.begin(), contexts.end(),
                                    [&](const fltsim::flt::Context *c) { return c->instance == instance.get(); });
    fltsim::flt::Context *slot = found == contexts.end() ? nullptr : *found;
    const fltsim::flt::Context *before = slot;
    const NTSTATUS status = set(slot, NewContext, FLT_STREAMHANDLE_CONTEXT, Operation, OldContext, *instance, kApi);
    if (NT_SUCCESS(status)) {
        std::erase(contexts, before);
        slot->file = file.get();
        contexts.push_back(slot);
        instance->file_contexts.push_back(slot);
    }
    return status;
}

/// STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED; adds a reference [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetStreamHandleContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                        PFLT_CONTEXT *Context) {
    constexpr const char *kApi = "FltGetStreamHandleContext";
    KernelCall call(kApi, APC_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    *Context = nullptr;
    const auto file = FileObject ? io::FileObject::from_native(FileObject) : nullptr;
    if (!supports_handle_contexts(file)) {
        return STATUS_NOT_SUPPORTED;
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    if (const auto *all = static_cast<FileContexts *>(file->flt_state.get())) {
        for (const fltsim::flt::Context *context : all->contexts) {
            if (context->instance == instance.get()) {
                return get(context, Context);
            }
        }
    }
    return STATUS_NOT_FOUND;
}

/// Whether the file can have stream-handle contexts [CTX-06]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltSupportsStreamHandleContexts(PFILE_OBJECT FileObject) {
    KernelCall call("FltSupportsStreamHandleContexts", APC_LEVEL);
    if (fault("FltSupportsStreamHandleContexts")) {
        return FALSE;
    }
    return FileObject && supports_handle_contexts(io::FileObject::from_native(FileObject)) ? TRUE : FALSE;
}

namespace {

/// Detaches `context`; its reference goes to *old when the caller wants it.
NTSTATUS remove(fltsim::flt::Context *context, PFLT_CONTEXT *old, const char *api) {
    if (old) {
        *old = nullptr;
    }
    if (!context) {
        return STATUS_NOT_FOUND;
    }
    if (old) {
        ++context->references;
        *old = context->body;
    }
    unlink_context(*context, api);
    return STATUS_SUCCESS;
}

} // namespace

/// STATUS_NOT_FOUND when there is none. The caller releases *OldContext. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeleteInstanceContext(PFLT_INSTANCE Instance, PFLT_CONTEXT *OldContext) {
    KernelCall call("FltDeleteInstanceContext", APC_LEVEL);
    return remove(instance_of(Instance, "FltDeleteInstanceContext")->context, OldContext, "FltDeleteInstanceContext");
}

/// STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED. The caller releases *OldContext. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeleteStreamHandleContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                           PFLT_CONTEXT *OldContext) {
    constexpr const char *kApi = "FltDeleteStreamHandleContext";
    KernelCall call(kApi, APC_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    const auto file = FileObject ? io::FileObject::from_native(FileObject) : nullptr;
    if (!supports_handle_contexts(file)) {
        return STATUS_NOT_SUPPORTED;
    }
    fltsim::flt::Context *found = nullptr;
    for (fltsim::flt::Context *context : instance->file_contexts) {
        if (context->file == file.get()) {
            found = context;
        }
    }
    return remove(found, OldContext, kApi);
}

#define FLTSIM_NO_CONTEXT(name, first)                                                                                 \
    FLTSIM_KERNEL NTSTATUS FLTAPI name(first, FLT_SET_CONTEXT_OPERATION, PFLT_CONTEXT, PFLT_CONTEXT *) {               \
        KernelCall call(#name, APC_LEVEL);                                                                             \
        unmodelled(#name, "contexts other than instance and stream-handle contexts");                                  \
    }
FLTSIM_NO_CONTEXT(FltSetVolumeContext, PFLT_VOLUME)
#undef FLTSIM_NO_CONTEXT
