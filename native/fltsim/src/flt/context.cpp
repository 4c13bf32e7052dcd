// SPDX-License-Identifier: MIT
//
// This module provides: contexts, reference-counted memory that a driver hangs on volumes, instances, files, streams and open files [CTX-01..09]: their
// memory, references and links. What a driver hangs where is in context_places.cpp.
//
// Invariants: a link holds one reference of its own; the cleanup callback runs exactly once, after the last reference; the
// memory is poisoned then. A driver may have that memory come from a routine of its own: then a header of the Filter Manager's is before the body, and
// another routine of the driver gets both back in the end. Over-release is F5/6D while linked and F5/6E after it was freed, as on the real system [CTX-07].

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"
#include "core/fill.hpp"
#include "fs/file_system.hpp"
#include "ke/pool.hpp"

namespace fltsim::flt {

namespace {

/// What is the Filter Manager's of memory that the driver allocates. Nothing is kept there: it shows who writes before the body.
constexpr size_t kHeader = 64;
constexpr unsigned char kHeaderFill = 0xA6;

void *header_of(const Context &context) {
    return static_cast<unsigned char *>(context.body) - kHeader;
}

void check_header(const Context &context, const char *api) {
    void *const header = header_of(context);
    if (pool::is_freed(header) || !is_filled(static_cast<unsigned char *>(header), kHeader, kHeaderFill)) {
        bugcheck("CTX header of a context", api,
                 "the memory before the context was overwritten, or the driver has freed what its "
                 "ContextAllocateCallback gave");
    }
}

/// By the driver's routine; null without memory.
void *allocate_by(PFLT_CONTEXT_ALLOCATE_CALLBACK allocate, POOL_TYPE pool, SIZE_T bytes, FLT_CONTEXT_TYPE type) {
    constexpr const char *kApi = "FltAllocateContext";
    constexpr uintptr_t kAlignment = 16;
    void *memory;
    {
        DriverCall driver("context allocate callback");
        memory = allocate(pool, bytes + kHeader, type);
    }
    if (memory == nullptr) {
        return nullptr;
    }
    void *const body = static_cast<unsigned char *>(memory) + kHeader;
    if (reinterpret_cast<uintptr_t>(memory) % kAlignment != 0 || manager().contexts.contains(body)) {
        bugcheck("CTX memory for a context", kApi,
                 "ContextAllocateCallback returned memory that is not aligned to 16 bytes, or is that of another "
                 "context");
    }
    std::memset(memory, kHeaderFill, kHeader);
    return body;
}

void destroy(Context *context) {
    if (context->cleanup) {
        DriverCall driver("context cleanup callback");
        context->cleanup(context->body, context->type);
    }
    auto &m = manager();
    void *body = context->body;
    if (const auto free = context->free) {
        const FLT_CONTEXT_TYPE type = context->type;
        void *const memory = header_of(*context);
        check_header(*context, "FltReleaseContext");
        m.contexts.erase(body);
        DriverCall driver("context free callback");
        free(memory, type);
        return;
    }
    m.contexts.erase(body);
    pool::forget_paged(body);
    m.memory.release(body);
}

const char *name_of(FLT_CONTEXT_TYPE type) {
    switch (type) {
    case FLT_VOLUME_CONTEXT:
        return "volume";
    case FLT_INSTANCE_CONTEXT:
        return "instance";
    case FLT_FILE_CONTEXT:
        return "file";
    case FLT_STREAM_CONTEXT:
        return "stream";
    case FLT_STREAMHANDLE_CONTEXT:
        return "stream-handle";
    case FLT_TRANSACTION_CONTEXT:
        return "transaction";
    default:
        return "other";
    }
}

using OpenPlaces = std::map<OpenPlace::Key, std::shared_ptr<OpenPlace>>;

std::shared_ptr<OpenPlace> enter(OpenPlaces &places, OpenPlace::Key key) {
    auto &place = places[key];
    if (!place) {
        place = std::make_shared<OpenPlace>();
        place->key = key;
    }
    ++place->files;
    return place;
}

/// One file object less; the last one's end takes the contexts along. Who opens it meanwhile has a new place.
void leave(OpenPlaces &places, std::shared_ptr<OpenPlace> &reference, const char *api) {
    const auto place = std::move(reference);
    if (--place->files == 0) {
        places.erase(place->key);
        unlink_contexts(*place, api);
    }
}

} // namespace

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

void release_context(Context &context, const char *api) {
    if (context.place && context.references == 1) {
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

void link_context(Context &context, ContextPlace &place, Instance *instance) {
    ++context.references;
    context.place = &place;
    context.instance = instance;
    place.contexts.push_back(&context);
    if (instance) {
        instance->contexts.push_back(&context);
    }
}

void detach_context(Context &context) {
    std::erase(context.place->contexts, &context);
    if (context.instance) {
        context.instance->contexts.remove(&context);
    }
    context.place = nullptr;
    context.instance = nullptr;
}

void unlink_context(Context &context, const char *api) {
    detach_context(context);
    release_context(context, api);
}

void unlink_contexts(ContextPlace &place, const char *api) {
    while (!place.contexts.empty()) {
        unlink_context(*place.contexts.front(), api);
    }
}

void unlink_volume_contexts(VolumeState &volume, const Filter &filter, const char *api) {
    const auto its = [&](const Context *context) { return context->filter == &filter; };
    auto &contexts = volume.place.contexts;
    for (auto found = std::ranges::find_if(contexts, its); found != contexts.end();
         found = std::ranges::find_if(contexts, its)) {
        unlink_context(**found, api);
    }
}

void report_context_leaks(const Filter &filter) {
    auto &m = manager();
    std::map<FLT_CONTEXT_TYPE, int> leaked;
    std::erase_if(m.contexts, [&](const auto &entry) {
        if (entry.second->filter != &filter || entry.second->references == 0) { // 0: its cleanup is on the way
            return false;
        }
        ++leaked[entry.second->type];
        if (!entry.second->free) { // else it is the driver's, and its pool's leak too
            m.memory.release(entry.first);
        }
        return true;
    });
    for (const auto &[type, count] : leaked) {
        world().leak("filter " + narrow(filter.name) + ": " + std::to_string(count) + " " + name_of(type) +
                     " context(s) were not released (V10)");
    }
}

void note_open_and_close(io::Operation &operation) {
    io::FileObject *const file = operation.file.get();
    if (!file) {
        return;
    }
    if (operation.major == IRP_MJ_CLOSE) {
        if (auto *open = static_cast<OpenFile *>(file->flt_state.get())) {
            open->closed = true;
        }
        return;
    }
    const NTSTATUS status = operation.io_status.Status;
    const bool opened = operation.major == IRP_MJ_CREATE && NT_SUCCESS(status) && status != STATUS_REPARSE;
    // A volume has no node; paging files have no contexts [CTX-06].
    if (!opened || !file->fcb || file->flt_state || (operation.operation_flags & SL_OPEN_PAGING_FILE) != 0) {
        return;
    }
    const void *stream = file->fcb.get();
    const void *whole = file->volume->file_system->file_of(*file);
    auto open = std::make_shared<OpenFile>();
    open->stream = enter(manager().open_streams, {stream, file->mount});
    open->file = enter(manager().open_files, {whole ? whole : stream, file->mount});
    file->flt_state = std::move(open);
}

void FilterManager::file_closed(io::FileObject &file) {
    KernelCall kernel("IRP_MJ_CLOSE", APC_LEVEL);
    constexpr const char *kApi = "IRP_MJ_CLOSE";
    auto &m = manager();
    if (const auto open = std::static_pointer_cast<OpenFile>(file.flt_state); open && open->stream) {
        open->closed = true;
        unlink_contexts(open->handle, kApi);
        leave(m.open_streams, open->stream, kApi);
        leave(m.open_files, open->file, kApi);
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
    const ContextDefinition definition = *fits;
    void *own = nullptr;
    if (definition.allocate) {
        own = allocate_by(definition.allocate, PoolType, ContextSize, ContextType);
        if (own == nullptr) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
    }
    auto context = std::make_unique<Context>();
    context->filter = filter.get();
    context->type = ContextType;
    context->size = ContextSize;
    context->paged = paged;
    context->cleanup = definition.cleanup;
    context->free = definition.free;
    context->body = own ? own : manager().memory.allocate(std::max<size_t>(ContextSize, 1), "context", 0xCC);
    if (paged && !own) {
        pool::note_paged(context->body, ContextSize);
    }
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
    release_context(context, "FltReleaseContext");
}

/// Detaches a context; the caller's reference stays [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltDeleteContext(PFLT_CONTEXT Context) {
    KernelCall call("FltDeleteContext", APC_LEVEL);
    auto &context = context_of(Context, "FltDeleteContext");
    if (context.place) {
        unlink_context(context, "FltDeleteContext");
    }
}
