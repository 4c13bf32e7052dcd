// SPDX-License-Identifier: MIT
//
// This module provides: what contexts a driver hangs on volumes, instances, files, streams and open files, and asks for there [CTX-03, CTX-04, CTX-06].
//
// The Filter Manager takes a link away when its instance is torn down, and
//      stream handle: after IRP_MJ_CLOSE
//      stream, file:  after the IRP_MJ_CLOSE of its last file object. A file system may keep a stream longer; this is the earliest
//      volume:        with the last instance of its filter there, at the dismount, and when the filter is unregistered

#include "flt/internal.hpp"

#include <algorithm>

#include "core/faults.hpp"
#include "fs/file_system.hpp"

namespace fltsim::flt {

namespace {

/// What a driver's FltSet...Context call is about, apart from the place.
struct SetRequest {
    FLT_CONTEXT_TYPE type = 0;
    FLT_SET_CONTEXT_OPERATION operation = FLT_SET_CONTEXT_REPLACE_IF_EXISTS;
    PFLT_CONTEXT body = nullptr;
    PFLT_CONTEXT *old = nullptr;
    const char *api = "";
};

Context *find(const ContextPlace &place, const Filter &filter, const Instance *instance) {
    const auto found = std::ranges::find_if(place.contexts, [&](const Context *context) {
        return context->instance == instance && context->filter == &filter;
    });
    return found == place.contexts.end() ? nullptr : *found;
}

/// `instance`: null for a volume's. `deleting`: that the owner, or the place, is on its way out.
NTSTATUS set(ContextPlace &place, Instance *instance, bool deleting, const SetRequest &request) {
    Context &context = context_of(request.body, request.api);
    if (context.type != request.type || (instance && context.filter != instance->filter)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (request.operation != FLT_SET_CONTEXT_REPLACE_IF_EXISTS && request.operation != FLT_SET_CONTEXT_KEEP_IF_EXISTS) {
        return STATUS_INVALID_PARAMETER;
    }
    if (deleting || (!instance && context.filter->unregistering)) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if (context.place) {
        return STATUS_FLT_CONTEXT_ALREADY_LINKED;
    }
    Context *before = find(place, *context.filter, instance);
    if (before && request.operation == FLT_SET_CONTEXT_KEEP_IF_EXISTS) {
        if (request.old) {
            ++before->references;
            *request.old = before->body;
        }
        return STATUS_FLT_CONTEXT_ALREADY_DEFINED;
    }
    if (before) {
        detach_context(*before);
    }
    link_context(context, place, instance);
    if (before) {
        if (request.old) {
            *request.old = before->body; // the link's reference becomes the caller's
        } else {
            release_context(*before, request.api); // may call the driver
        }
    }
    return STATUS_SUCCESS;
}

NTSTATUS get(Context *context, PFLT_CONTEXT *body) {
    *body = nullptr;
    if (!context) {
        return STATUS_NOT_FOUND;
    }
    ++context->references;
    *body = context->body;
    return STATUS_SUCCESS;
}

/// Detaches `context`; its reference goes to *old when the caller wants it.
NTSTATUS remove(Context *context, PFLT_CONTEXT *old, const char *api) {
    if (!context) {
        return STATUS_NOT_FOUND;
    }
    if (!old) {
        unlink_context(*context, api);
        return STATUS_SUCCESS;
    }
    detach_context(*context);
    *old = context->body;
    return STATUS_SUCCESS;
}

void clear(PFLT_CONTEXT *context) {
    if (context) {
        *context = nullptr;
    }
}

/// Null when the file object can have no contexts: not open yet, closed, a volume, a paging file [CTX-06].
std::shared_ptr<OpenFile> open_file(PFILE_OBJECT native) {
    const auto file = native ? io::FileObject::from_native(native) : nullptr;
    auto open = file ? std::static_pointer_cast<OpenFile>(file->flt_state) : nullptr;
    return open && !open->closed ? open : nullptr;
}

ContextPlace &place_of(OpenFile &open, FLT_CONTEXT_TYPE type) {
    return type == FLT_STREAMHANDLE_CONTEXT ? open.handle
           : type == FLT_STREAM_CONTEXT     ? static_cast<ContextPlace &>(*open.stream)
                                            : *open.file;
}

NTSTATUS set_of_file(PFLT_INSTANCE handle, PFILE_OBJECT native, const SetRequest &request) {
    const auto instance = instance_of(handle, request.api);
    clear(request.old);
    const auto open = open_file(native);
    if (!open) {
        return STATUS_NOT_SUPPORTED;
    }
    return set(place_of(*open, request.type), instance.get(), instance->deleting(), request);
}

NTSTATUS get_of_file(PFLT_INSTANCE handle, PFILE_OBJECT native, FLT_CONTEXT_TYPE type, PFLT_CONTEXT *body,
                     const char *api) {
    const auto instance = instance_of(handle, api);
    *body = nullptr;
    const auto open = open_file(native);
    if (!open) {
        return STATUS_NOT_SUPPORTED;
    }
    return get(find(place_of(*open, type), *instance->filter, instance.get()), body);
}

NTSTATUS remove_of_file(PFLT_INSTANCE handle, PFILE_OBJECT native, FLT_CONTEXT_TYPE type, PFLT_CONTEXT *old,
                        const char *api) {
    const auto instance = instance_of(handle, api);
    clear(old);
    const auto open = open_file(native);
    if (!open) {
        return STATUS_NOT_SUPPORTED;
    }
    if (instance->deleting()) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    return remove(find(place_of(*open, type), *instance->filter, instance.get()), old, api);
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Statuses of [CTX-03]; the caller's allocation reference stays the caller's. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetInstanceContext(PFLT_INSTANCE Instance, FLT_SET_CONTEXT_OPERATION Operation,
                                                    PFLT_CONTEXT NewContext, PFLT_CONTEXT *OldContext) {
    constexpr const char *kApi = "FltSetInstanceContext";
    KernelCall call(kApi, APC_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    clear(OldContext);
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    return set(instance->place, instance.get(), instance->deleting(),
               {FLT_INSTANCE_CONTEXT, Operation, NewContext, OldContext, kApi});
}

/// STATUS_NOT_FOUND when there is none; adds a reference [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetInstanceContext(PFLT_INSTANCE Instance, PFLT_CONTEXT *Context) {
    KernelCall call("FltGetInstanceContext", APC_LEVEL);
    const auto instance = instance_of(Instance, "FltGetInstanceContext");
    if (const auto failure = failing("FltGetInstanceContext")) {
        *Context = nullptr;
        return *failure;
    }
    return get(find(instance->place, *instance->filter, instance.get()), Context);
}

/// STATUS_NOT_FOUND, STATUS_FLT_DELETING_OBJECT. The caller releases *OldContext. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeleteInstanceContext(PFLT_INSTANCE Instance, PFLT_CONTEXT *OldContext) {
    constexpr const char *kApi = "FltDeleteInstanceContext";
    KernelCall call(kApi, APC_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    clear(OldContext);
    if (instance->deleting()) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    return remove(find(instance->place, *instance->filter, instance.get()), OldContext, kApi);
}

/// Statuses of [CTX-03], and STATUS_NOT_SUPPORTED before the create is done, after close and for volumes [CTX-06]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetStreamHandleContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                        FLT_SET_CONTEXT_OPERATION Operation, PFLT_CONTEXT NewContext,
                                                        PFLT_CONTEXT *OldContext) {
    constexpr const char *kApi = "FltSetStreamHandleContext";
    KernelCall call(kApi, APC_LEVEL);
    clear(OldContext);
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    return set_of_file(Instance, FileObject, {FLT_STREAMHANDLE_CONTEXT, Operation, NewContext, OldContext, kApi});
}

/// STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED; adds a reference [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetStreamHandleContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                        PFLT_CONTEXT *Context) {
    constexpr const char *kApi = "FltGetStreamHandleContext";
    KernelCall call(kApi, APC_LEVEL);
    *Context = nullptr;
    if (open_file(FileObject)) {
        if (const auto failure = failing(kApi)) {
            return *failure;
        }
    }
    return get_of_file(Instance, FileObject, FLT_STREAMHANDLE_CONTEXT, Context, kApi);
}

/// STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED, STATUS_FLT_DELETING_OBJECT. The caller releases *OldContext. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeleteStreamHandleContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                           PFLT_CONTEXT *OldContext) {
    KernelCall call("FltDeleteStreamHandleContext", APC_LEVEL);
    return remove_of_file(Instance, FileObject, FLT_STREAMHANDLE_CONTEXT, OldContext, "FltDeleteStreamHandleContext");
}

/// Whether the file can have stream-handle contexts [CTX-06]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltSupportsStreamHandleContexts(PFILE_OBJECT FileObject) {
    KernelCall call("FltSupportsStreamHandleContexts", APC_LEVEL);
    if (fault("FltSupportsStreamHandleContexts")) {
        return FALSE;
    }
    return open_file(FileObject) ? TRUE : FALSE;
}

/// As FltSetStreamHandleContext, for the stream: one for each instance, whatever file object names it. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetStreamContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                  FLT_SET_CONTEXT_OPERATION Operation, PFLT_CONTEXT NewContext,
                                                  PFLT_CONTEXT *OldContext) {
    KernelCall call("FltSetStreamContext", APC_LEVEL);
    return set_of_file(Instance, FileObject,
                       {FLT_STREAM_CONTEXT, Operation, NewContext, OldContext, "FltSetStreamContext"});
}

/// STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED; adds a reference [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetStreamContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                  PFLT_CONTEXT *Context) {
    KernelCall call("FltGetStreamContext", APC_LEVEL);
    return get_of_file(Instance, FileObject, FLT_STREAM_CONTEXT, Context, "FltGetStreamContext");
}

/// STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED, STATUS_FLT_DELETING_OBJECT. The caller releases *OldContext. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeleteStreamContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                     PFLT_CONTEXT *OldContext) {
    KernelCall call("FltDeleteStreamContext", APC_LEVEL);
    return remove_of_file(Instance, FileObject, FLT_STREAM_CONTEXT, OldContext, "FltDeleteStreamContext");
}

/// Whether the file can have stream contexts [CTX-06]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltSupportsStreamContexts(PFILE_OBJECT FileObject) {
    KernelCall call("FltSupportsStreamContexts", APC_LEVEL);
    return open_file(FileObject) ? TRUE : FALSE;
}

/// As FltSetStreamContext, for the file: one for all of its streams. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetFileContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                FLT_SET_CONTEXT_OPERATION Operation, PFLT_CONTEXT NewContext,
                                                PFLT_CONTEXT *OldContext) {
    KernelCall call("FltSetFileContext", APC_LEVEL);
    return set_of_file(Instance, FileObject,
                       {FLT_FILE_CONTEXT, Operation, NewContext, OldContext, "FltSetFileContext"});
}

/// STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED; adds a reference [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetFileContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                PFLT_CONTEXT *Context) {
    KernelCall call("FltGetFileContext", APC_LEVEL);
    return get_of_file(Instance, FileObject, FLT_FILE_CONTEXT, Context, "FltGetFileContext");
}

/// STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED, STATUS_FLT_DELETING_OBJECT. The caller releases *OldContext. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeleteFileContext(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                   PFLT_CONTEXT *OldContext) {
    KernelCall call("FltDeleteFileContext", APC_LEVEL);
    return remove_of_file(Instance, FileObject, FLT_FILE_CONTEXT, OldContext, "FltDeleteFileContext");
}

namespace {
bool file_system_has_file_contexts(PFILE_OBJECT native) {
    return open_file(native) && io::FileObject::from_native(native)->volume->file_system->supports_file_contexts();
}
} // namespace

/// Whether the file system itself has contexts for the file: not FAT's, which has one stream for each. IRQL <= APC_LEVEL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltSupportsFileContexts(PFILE_OBJECT FileObject) {
    KernelCall call("FltSupportsFileContexts", APC_LEVEL);
    return file_system_has_file_contexts(FileObject) ? TRUE : FALSE;
}

/// With an instance: whether it can set one, which the Filter Manager makes possible on FAT as well. IRQL <= APC_LEVEL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltSupportsFileContextsEx(PFILE_OBJECT FileObject, PFLT_INSTANCE Instance) {
    KernelCall call("FltSupportsFileContextsEx", APC_LEVEL);
    if (!Instance) {
        return file_system_has_file_contexts(FileObject) ? TRUE : FALSE;
    }
    instance_of(Instance, "FltSupportsFileContextsEx");
    return open_file(FileObject) ? TRUE : FALSE;
}

/// One for each filter, whose the context is. Statuses of [CTX-03]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetVolumeContext(PFLT_VOLUME Volume, FLT_SET_CONTEXT_OPERATION Operation,
                                                  PFLT_CONTEXT NewContext, PFLT_CONTEXT *OldContext) {
    constexpr const char *kApi = "FltSetVolumeContext";
    KernelCall call(kApi, APC_LEVEL);
    VolumeState *volume = volume_of(Volume, kApi);
    clear(OldContext);
    return set(volume->place, nullptr, volume->dismounting,
               {FLT_VOLUME_CONTEXT, Operation, NewContext, OldContext, kApi});
}

/// STATUS_NOT_FOUND; adds a reference [CTX-04]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeContext(PFLT_FILTER Filter, PFLT_VOLUME Volume, PFLT_CONTEXT *Context) {
    constexpr const char *kApi = "FltGetVolumeContext";
    KernelCall call(kApi, APC_LEVEL);
    const auto filter = filter_of(Filter, kApi);
    return get(find(volume_of(Volume, kApi)->place, *filter, nullptr), Context);
}

/// STATUS_NOT_FOUND, STATUS_FLT_DELETING_OBJECT. The caller releases *OldContext. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeleteVolumeContext(PFLT_FILTER Filter, PFLT_VOLUME Volume, PFLT_CONTEXT *OldContext) {
    constexpr const char *kApi = "FltDeleteVolumeContext";
    KernelCall call(kApi, APC_LEVEL);
    const auto filter = filter_of(Filter, kApi);
    VolumeState *volume = volume_of(Volume, kApi);
    clear(OldContext);
    if (volume->dismounting) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    return remove(find(volume->place, *filter, nullptr), OldContext, kApi);
}

/// Of the types asked for, those that are set, each with a reference; null for the others, and for a transaction. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltGetContexts(PCFLT_RELATED_OBJECTS FltObjects, FLT_CONTEXT_TYPE DesiredContexts,
                                         PFLT_RELATED_CONTEXTS Contexts) {
    constexpr const char *kApi = "FltGetContexts";
    KernelCall call(kApi, APC_LEVEL);
    *Contexts = {};
    const auto wanted = [&](FLT_CONTEXT_TYPE type) { return (DesiredContexts & type) != 0; };
    if (wanted(FLT_VOLUME_CONTEXT)) {
        const auto filter = filter_of(FltObjects->Filter, kApi);
        get(find(volume_of(FltObjects->Volume, kApi)->place, *filter, nullptr), &Contexts->VolumeContext);
    }
    if (wanted(FLT_INSTANCE_CONTEXT)) {
        const auto instance = instance_of(FltObjects->Instance, kApi);
        get(find(instance->place, *instance->filter, instance.get()), &Contexts->InstanceContext);
    }
    for (const auto &[type, context] : std::initializer_list<std::pair<FLT_CONTEXT_TYPE, PFLT_CONTEXT *>>{
             {FLT_FILE_CONTEXT, &Contexts->FileContext},
             {FLT_STREAM_CONTEXT, &Contexts->StreamContext},
             {FLT_STREAMHANDLE_CONTEXT, &Contexts->StreamHandleContext}}) {
        if (wanted(type)) {
            get_of_file(FltObjects->Instance, FltObjects->FileObject, type, context, kApi);
        }
    }
}

/// Releases those that are not null. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltReleaseContexts(PFLT_RELATED_CONTEXTS Contexts) {
    constexpr const char *kApi = "FltReleaseContexts";
    KernelCall call(kApi, APC_LEVEL);
    // Taken first: the cleanup callbacks are the driver's.
    for (const PFLT_CONTEXT context :
         {Contexts->VolumeContext, Contexts->InstanceContext, Contexts->FileContext, Contexts->StreamContext,
          Contexts->StreamHandleContext, Contexts->TransactionContext}) {
        if (context) {
            release_context(context_of(context, kApi), kApi);
        }
    }
}
