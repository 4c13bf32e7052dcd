// SPDX-License-Identifier: MIT
//
// This module provides: contexts as the rest of this folder sees them, and what they hang on.
//
// Invariants: a context hangs on at most one place; the place has at most one of an instance, a volume at most one of a filter. All under the model lock;
// unlinking may run a cleanup callback, which gives the lock up.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "flt/filter_manager.hpp"

namespace fltsim::flt {

struct Context;
struct Filter;
struct Instance;
struct VolumeState;

struct ContextDefinition {
    FLT_CONTEXT_TYPE type = 0;
    FLT_CONTEXT_REGISTRATION_FLAGS flags = 0;
    PFLT_CONTEXT_CLEANUP_CALLBACK cleanup = nullptr;
    SIZE_T size = 0;
    bool variable = false;
    PFLT_CONTEXT_ALLOCATE_CALLBACK allocate = nullptr; ///< the driver's own memory: this and `free`, or neither
    PFLT_CONTEXT_FREE_CALLBACK free = nullptr;
};

/// What contexts hang on: an instance, an open file object, a stream, a file, a volume.
struct ContextPlace {
    std::vector<Context *> contexts;
};

/// A context that a driver allocated. The driver's pointer is `body`.
struct Context {
    Filter *filter = nullptr;
    FLT_CONTEXT_TYPE type = 0;
    SIZE_T size = 0;
    bool paged = false;
    PFLT_CONTEXT_CLEANUP_CALLBACK cleanup = nullptr;
    int references = 1;
    ContextPlace *place = nullptr; ///< where it hangs; that link holds one of the references
    Instance *instance = nullptr; ///< whose link; null for a volume's
    void *body = nullptr;
    PFLT_CONTEXT_FREE_CALLBACK free =
        nullptr; ///< of memory that the driver's own routine allocated: the header and the body
};

/// A stream or a file, while file objects of it are between IRP_MJ_CREATE and IRP_MJ_CLOSE.
struct OpenPlace : ContextPlace {
    /// The file system's node, and which mount of the volume: what is open on an older one is another stream.
    using Key = std::pair<const void *, uint32_t>;
    Key key;
    int files = 0; ///< file objects
};

/// FileObject::flt_state of a file object that can have contexts.
struct OpenFile {
    ContextPlace handle;
    std::shared_ptr<OpenPlace> stream;
    std::shared_ptr<OpenPlace> file;
    bool closed = false; ///< the file system has had IRP_MJ_CLOSE: nothing can be set any more [CTX-06]
};

/// The live context behind a driver's pointer; F5/6E when there is none.
Context &context_of(PFLT_CONTEXT body, const char *api);
/// Drops a reference: F5/6D when it was the link's.
void release_context(Context &context, const char *api);
/// Its link, with a reference of its own. `instance`: null for a volume's.
void link_context(Context &context, ContextPlace &place, Instance *instance);
/// Takes the link away; its reference is the caller's.
void detach_context(Context &context);
/// Takes the link away, and its reference.
void unlink_context(Context &context, const char *api);
/// The same for all that hang there, and for those that come meanwhile.
void unlink_contexts(ContextPlace &place, const char *api);
/// The volume's contexts of one filter.
void unlink_volume_contexts(VolumeState &volume, const Filter &filter, const char *api);
void report_context_leaks(const Filter &filter);

/// The file system has done an IRP: a create that succeeded lets its file object have contexts, a close ends that.
void note_open_and_close(io::Operation &operation);

} // namespace fltsim::flt
