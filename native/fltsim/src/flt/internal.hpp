// SPDX-License-Identifier: MIT
//
// This module provides: the Filter Manager's own state, shared by the files of this folder and by nobody else.
//
// Invariants
// - Everything here changes under the model lock only. A DriverCall gives the lock up: whatever was read before one is looked at again
//   after it, and vectors are then addressed by index.
// - Opaque pointers of the driver (PFLT_FILTER, ...) are addresses of these structures and are looked up before use: a stale one stops
//   the world with the name of the call instead of being followed.
// - A frame (one instance's interest in one operation) gets exactly one post call: normal, or draining [DRAIN-06].
//
//      Waiting -> Running -> Done              normal, FLT_POSTOP_FINISHED_PROCESSING
//                 Running -> Pended -> Done    FLT_POSTOP_MORE_PROCESSING_REQUIRED, then FltCompletePendedPostOperation
//      Waiting -> Drained                      the instance goes away
#pragma once

#include <deque>
#include <list>
#include <map>
#include <set>
#include <unordered_map>

#include "core/image.hpp"
#include "core/registry.hpp"
#include "flt/context.hpp"
#include "flt/filter_manager.hpp"
#include "flt/own.hpp"
#include "flt/quarantine.hpp"

namespace fltsim::flt {

struct OperationEntry {
    bool registered = false;
    FLT_OPERATION_REGISTRATION_FLAGS flags = 0;
    PFLT_PRE_OPERATION_CALLBACK pre = nullptr;
    PFLT_POST_OPERATION_CALLBACK post = nullptr;
};

/// A loaded driver: its image, its DRIVER_OBJECT.
struct Driver {
    std::u16string service;
    std::u16string registry_path;
    DRIVER_OBJECT object{};
    std::vector<uint8_t> extension; ///< opaque, zero
    std::unique_ptr<Image> image; ///< null for a built-in one
    PDRIVER_INITIALIZE entry = nullptr;
    bool busy = false; ///< a load or unload of it is running
    std::set<Thread *> routines; ///< in a deferred routine of it
};

/// PFLT_VOLUME: one mount of a volume. A dismount makes a new one.
struct VolumeState {
    io::Volume *volume = nullptr;
    bool dismounting = false; ///< no instance attaches any more
    bool newly_mounted = false; ///< the first create attaches the automatic instances [LIFE-01]
    std::vector<std::shared_ptr<Instance>> instances; ///< altitude high to low; attaching ones included
    ContextPlace place; ///< its contexts, one of each filter
    int references = 0;
};

/// PFLT_INSTANCE [SIM-11]
struct Instance {
    enum class State { Attaching, Active, TeardownStart, Draining, WaitOutstanding, TeardownComplete, Gone };
    Filter *filter = nullptr;
    VolumeState *volume = nullptr;
    std::u16string name;
    std::u16string altitude;
    uint64_t number = 0; ///< in the order of attachment
    State state = State::Attaching;
    int running = 0; ///< pre- and post-operation callbacks executing
    int pended = 0; ///< operations that a callback of it has pended
    int rundown = 0; ///< FltObjectReference, and accepted work items until their routine returned [UNL-05, UNL-07]
    int queued = 0; ///< accepted deferred work items whose routine has not returned
    ContextPlace place; ///< its own context
    std::list<Context *> contexts; ///< on files, streams, file objects and itself
    bool deleting() const { return state != State::Attaching && state != State::Active; }
    PFLT_INSTANCE handle() { return reinterpret_cast<PFLT_INSTANCE>(this); }
};

/// An FltSendMessage that waits. Lives on the sender's stack; it is its own wake channel.
struct OutgoingMessage {
    const void *bytes = nullptr;
    ULONG length = 0;
    bool delivered = false;
};

/// A server port (FltCreateCommunicationPort).
struct ServerPort {
    Filter *filter = nullptr;
    std::u16string name;
    PVOID cookie = nullptr;
    PFLT_CONNECT_NOTIFY connect = nullptr;
    PFLT_DISCONNECT_NOTIFY disconnect = nullptr;
    PFLT_MESSAGE_NOTIFY message = nullptr;
    LONG max_connections = 0;
    LONG connections = 0; ///< a place is taken from connect until the disconnect routine returned [PORT-05]
    bool closed = false;
    PFLT_PORT handle() { return reinterpret_cast<PFLT_PORT>(this); }
};

/// One connection; the driver's client port (PFLT_PORT).
struct Connection {
    enum class State { Connecting, Connected, Disconnecting, Gone };
    std::shared_ptr<ServerPort> port;
    PVOID cookie = nullptr;
    State state = State::Connecting;
    bool kernel_closed = false; ///< FltCloseClientPort was called
    int sending = 0; ///< message callbacks executing
    int senders = 0; ///< FltSendMessage calls executing
    std::deque<OutgoingMessage *> messages; ///< waiting for somebody to get them, oldest first
    std::deque<std::shared_ptr<MessageGet>> gets; ///< waiting for a message, oldest first
    /// The driver may send: connected, or on the way to it, and not closed from either side.
    bool open() const { return !kernel_closed && (state == State::Connecting || state == State::Connected); }
    PFLT_PORT handle() { return reinterpret_cast<PFLT_PORT>(this); }
};

/// PFLT_FILTER
struct Filter {
    Driver *driver = nullptr;
    std::u16string name;
    FLT_REGISTRATION_FLAGS flags = 0;
    std::map<UCHAR, OperationEntry> operations;
    std::vector<ContextDefinition> contexts;
    PFLT_FILTER_UNLOAD_CALLBACK unload = nullptr;
    PFLT_INSTANCE_SETUP_CALLBACK setup = nullptr;
    PFLT_INSTANCE_QUERY_TEARDOWN_CALLBACK query_teardown = nullptr;
    PFLT_INSTANCE_TEARDOWN_CALLBACK teardown_start = nullptr;
    PFLT_INSTANCE_TEARDOWN_CALLBACK teardown_complete = nullptr;
    bool started = false;
    bool unregistering = false;
    bool mandatory_unload = false;
    bool image_gone = false; ///< nothing of it may be called any more
    int references = 0;
    std::vector<std::shared_ptr<Instance>> instances; ///< until they are gone and unreferenced
    PFLT_FILTER handle() { return reinterpret_cast<PFLT_FILTER>(this); }
};

/// One instance's interest in one operation.
struct Frame {
    enum class Phase { Waiting, Running, Pended, Drained, Done };
    std::shared_ptr<Instance> instance;
    PFLT_POST_OPERATION_CALLBACK post = nullptr;
    PVOID completion_context = nullptr;
    FLT_IO_PARAMETER_BLOCK iopb{}; ///< as its pre-operation received it [POST-37]
    bool swapped = false; ///< its pre-operation has put a buffer of its own in place: it is not drained [POST-37]
    PMDL swapped_mdl = nullptr; ///< the driver's, freed when its post-operation has returned
    bool synchronize = false;
    const Thread *thread = nullptr; ///< its pre-operation's
    Phase phase = Phase::Waiting;
};

/// What FltRequestOperationStatusCallback was given: called once the operation has been passed on and the call has come back.
struct StatusRequest {
    std::shared_ptr<Instance> instance;
    PFLT_GET_OPERATION_STATUS_CALLBACK routine = nullptr;
    PVOID context = nullptr;
    FLT_IO_PARAMETER_BLOCK iopb{}; ///< as the instance has passed it on
};

/// The Filter Manager's part of an operation (Operation::flt_state).
struct OperationState {
    uint64_t number = 0;
    std::vector<Frame> frames; ///< altitude high to low
    int next = -1; ///< the frame whose post-operation is due next, counting down
    const Thread *origin = nullptr; ///< that called the Filter Manager
    const Thread *parked_for = nullptr; ///< completion waits for this thread to go on with it
    NTSTATUS original_status = STATUS_SUCCESS;
    FLT_PARAMETERS original_parameters{};
    std::vector<StatusRequest> status_requests; ///< of pre-operations that have passed it on
    std::vector<PMDL> swapped_mdls; ///< of instances that want no post-operation: freed at the end
    std::list<std::shared_ptr<io::Operation>>::iterator position;
};

/// What a pre-operation answers.
struct PreAnswer {
    FLT_PREOP_CALLBACK_STATUS status;
    PVOID context;
};

/// What becomes of an operation after a pre-operation.
enum class Outcome { GoOn, Pended, Completed, DisallowFastIo };

/// A FLT_CALLBACK_DATA that a driver has, or had until it returned or gave a pended operation back.
struct CallRecord {
    enum class Kind { Pre, Post, Draining };
    Kind kind = Kind::Pre;
    PFLT_CALLBACK_DATA data = nullptr; ///< null once it was given back
    std::shared_ptr<io::Operation> operation;
    std::shared_ptr<Instance> instance;
    size_t frame = 0;
    FLT_IO_PARAMETER_BLOCK before{};
    const Thread *thread = nullptr; ///< that the callback runs in
    bool running = true; ///< the callback has not returned
    bool queued = false; ///< a deferred work item was accepted for it, or FltDoCompletionProcessingWhenSafe posted it
    bool handed_on = false; ///< its callback has queued a generic work item, which may give it back [POST-19]
    bool given_back = false; ///< FltCompletePendedPostOperation was called
    // Of a pre-operation
    PFLT_POST_OPERATION_CALLBACK post = nullptr;
    std::optional<PreAnswer> answer; ///< FltCompletePendedPreOperation was called
    PFLT_CALLBACK_DATA_QUEUE cbdq = nullptr; ///< that it is in
    PFLT_CALLBACK_DATA_QUEUE_IO_CONTEXT cbdq_context = nullptr;
    PFLT_COMPLETE_CANCELED_CALLBACK cancel_completion = nullptr; ///< while it is set [CANC-05]
    std::vector<StatusRequest> status_requests; ///< that its callback has made so far
};

/// PFLT_DEFERRED_IO_WORKITEM, PFLT_GENERIC_WORKITEM
struct DeferredItem {
    enum class State { Idle, Queued, Running };
    State state = State::Idle;
    Filter *last_filter = nullptr; ///< who queued it last, for the leak report
};

/// The system worker threads of one queue type [SIM-05].
struct WorkPool {
    const char *name = "";
    int threads = 0;
    std::deque<std::function<void()>> jobs; ///< run with the model lock held, at PASSIVE_LEVEL
};

struct NameRecord {
    Filter *filter = nullptr;
    int references = 1;
};

struct FilterManager::Impl {
    World &world;
    Quarantine memory;
    std::map<const void *, uint32_t> push_lock_writers; ///< threads that wait for exclusive access, by push lock
    std::vector<std::unique_ptr<Driver>> drivers;
    std::map<std::u16string, std::string> images; ///< of the services that add_driver has made
    std::vector<std::shared_ptr<Filter>> filters;
    std::vector<std::shared_ptr<Instance>> instances;
    std::vector<std::shared_ptr<VolumeState>> volumes;
    std::vector<std::shared_ptr<ServerPort>> ports;
    std::vector<std::shared_ptr<Connection>> connections;
    std::vector<std::shared_ptr<void>> graveyard; ///< what is gone keeps its address until the world ends
    std::unordered_map<void *, std::unique_ptr<Context>> contexts;
    std::map<OpenPlace::Key, std::shared_ptr<OpenPlace>> open_streams;
    std::map<OpenPlace::Key, std::shared_ptr<OpenPlace>> open_files; ///< whatever stream of theirs is open
    std::unordered_map<PFLT_CALLBACK_DATA, std::shared_ptr<CallRecord>> calls;
    std::unordered_map<PFLT_CALLBACK_DATA, GeneratedData> generated;
    std::map<PECP_LIST, EcpList> ecp_lists;
    std::map<PVOID, Ecp> ecps; ///< by what the driver has of them
    std::map<PVOID, EcpLookaside> ecp_lookasides;
    std::map<PFLT_DEFERRED_IO_WORKITEM, DeferredItem> items;
    std::map<PFLT_GENERIC_WORKITEM, DeferredItem> generic_items;
    std::map<PFLT_FILE_NAME_INFORMATION, NameRecord> names;
    std::set<PSECURITY_DESCRIPTOR> descriptors;
    std::list<std::shared_ptr<io::Operation>> operations; ///< those that are not completed
    WorkPool critical{"critical worker", 3, {}};
    WorkPool delayed{"delayed worker", 4, {}};
    bool workers_started = false;
    bool shutting_down = false;
    std::multiset<const void *> waits; ///< channels of wait_for()
    uint64_t next_instance = 1;
    uint64_t next_operation = 1;
    uint64_t next_message = 1; ///< FILTER_MESSAGE_HEADER.MessageId

    explicit Impl(World &world) : world(world) {}
};

FilterManager::Impl &manager();

// ---- object.cpp -------------------------------------------------------------------------------------------------------
std::string narrow(std::u16string_view text);
bool equal_names(std::u16string_view a, std::u16string_view b);
UNICODE_STRING unicode(std::u16string_view text);
std::u16string_view view(const UNICODE_STRING &text);
/// These stop the world when the pointer is not such an object (any more).
std::shared_ptr<Filter> filter_of(PFLT_FILTER filter, const char *api);
std::shared_ptr<Instance> instance_of(PFLT_INSTANCE instance, const char *api);
VolumeState *volume_of(PFLT_VOLUME volume, const char *api);
VolumeState &volume_state(io::Volume &volume);
std::string describe(const Instance &instance);
/// For the history and reports: "op 12 WRITE irp D:\x".
std::string describe(io::Operation &operation);
const char *operation_name(UCHAR major);
/// FLT_RELATED_OBJECTS of one call; poisoned when it goes [POST-25].
class RelatedObjects {
  public:
    RelatedObjects(Instance &instance, io::FileObject *file);
    ~RelatedObjects();
    RelatedObjects(const RelatedObjects &) = delete;
    RelatedObjects &operator=(const RelatedObjects &) = delete;
    PCFLT_RELATED_OBJECTS get() const { return objects_; }

  private:
    PFLT_RELATED_OBJECTS objects_;
};
/// Waits for `pred` without limit; while the world is shut down `patience_seconds` at most, then stops it with V18 and `what` as a leak.
/// False when the world ends.
bool wait_for(const void *channel, const std::function<bool()> &pred, const std::function<std::string()> &what,
              uint64_t patience_seconds = 10);
/// Runs `fn` (model lock held) in a new system thread and waits for it.
void run_in_system_thread(const char *name, const std::function<void()> &fn);

// ---- pre_operation.cpp ------------------------------------------------------------------------------------------------
/// `above`: only instances below this altitude see it; empty for all.
Outcome run_pre_operations(const std::shared_ptr<io::Operation> &operation, std::u16string_view above);

// ---- dispatch.cpp, completion.cpp --------------------------------------------------------------------------------------
OperationState &state_of(io::Operation &operation);
/// Whether the requestor waits for it [BUF-04].
bool synchronous(const io::Operation &operation);
/// At which a callback for it runs [X05, X10].
KIRQL callback_irql(const io::Operation &operation, bool post);
/// The way down from an instance's answer: the pre-operations below `above`, the file system or up again, and what has to run in this thread.
void go_down(const std::shared_ptr<io::Operation> &operation, Outcome outcome, std::u16string_view above);
/// New callback data for a call into `instance`.
std::shared_ptr<CallRecord> open_call(CallRecord::Kind kind, const std::shared_ptr<io::Operation> &operation,
                                      const std::shared_ptr<Instance> &instance, size_t frame,
                                      const FLT_IO_PARAMETER_BLOCK &iopb);
/// Takes IoStatus over from it, checks it (V6, V7), poisons it.
void close_call(CallRecord &call, const char *api);
/// Takes the data away without looking at it.
void discard_call(CallRecord &call);
/// For a report: callback data that is no longer anybody's.
std::string given_back(PFLT_CALLBACK_DATA data);
/// The live record of `data`; stops the world when there is none.
std::shared_ptr<CallRecord> call_of(PFLT_CALLBACK_DATA data, const char *api);
/// Runs post-operations from OperationState::next upwards until one pends, one must run in another thread, or all are done. `in_waiter`: this thread
/// is where synchronised ones may run, if they are its own.
void advance(const std::shared_ptr<io::Operation> &operation, bool in_waiter);
/// One post-operation; false when it pended.
bool run_post(const std::shared_ptr<io::Operation> &operation, size_t frame);
void run_draining_post(const std::shared_ptr<io::Operation> &operation, size_t frame);
/// `by_callback`: a post-operation callback has returned FINISHED_PROCESSING for it [SAFE-03].
void complete_pended(const std::shared_ptr<CallRecord> &call, const char *api, bool by_callback);
void finish(const std::shared_ptr<io::Operation> &operation);
// ---- user_buffer.cpp --------------------------------------------------------------------------------------------------
/// What a pre-operation has put in the place of the buffer that it was given.
void note_swap(const CallRecord &call, Frame &frame);
/// There will be no post-operation to free it after.
void keep_swapped_mdl(OperationState &state, Frame &frame);
void free_swapped_mdl(Frame &frame);
void free_swapped_mdls(OperationState &state);

// ---- workitem.cpp -----------------------------------------------------------------------------------------------------
void start_workers();
void queue_work(WorkPool &pool, std::function<void()> job);
/// What the Filter Manager keeps until a queued routine has returned [UNL-07]; by that reading of the documents that held when it was queued.
struct RoutineHold {
    std::shared_ptr<Instance> instance;
    bool rundown = false;
};
RoutineHold hold_for_routine(const std::shared_ptr<Instance> &instance);
/// Around the routine itself.
void enter_routine(const RoutineHold &hold);
void leave_routine(const RoutineHold &hold);
/// Whether a post-operation may be handed to a worker now [POST-10..14, SIM-06].
NTSTATUS may_post(const CallRecord &call);

// ---- instance.cpp -----------------------------------------------------------------------------------------------------
NTSTATUS attach_instance(const std::shared_ptr<Filter> &filter, io::Volume &volume, std::u16string name,
                         std::u16string altitude, FLT_INSTANCE_SETUP_FLAGS flags);
void teardown(const std::shared_ptr<Instance> &instance, FLT_INSTANCE_TEARDOWN_FLAGS reason);
struct InstanceDefinition {
    std::u16string name;
    std::u16string altitude;
    uint32_t flags = 0;
};
/// The service's instance definition (name "": its default instance) [INF-02, INF-06].
std::optional<InstanceDefinition> instance_definition(std::u16string_view service, std::u16string_view name);

/// The instance of a filter on a volume: of a name, or (name "") the highest. Null: there is none.
std::shared_ptr<Instance> find_instance(const Filter &filter, const io::Volume &volume, std::u16string_view name);
/// FltAttachVolume and FltAttachVolumeAtAltitude: what is empty comes from the service's definitions. `made`: null, or the new instance.
NTSTATUS attach_manually(const std::shared_ptr<Filter> &filter, io::Volume &volume, std::u16string_view instance_name,
                         std::u16string_view altitude, std::shared_ptr<Instance> *made);
NTSTATUS detach_manually(const std::shared_ptr<Filter> &filter, io::Volume &volume, std::u16string_view instance_name);

// ---- status_callback.cpp ----------------------------------------------------------------------------------------------
/// The operation was passed on, and the call has come back: calls the routines that wait for what it returned.
void tell_statuses(io::Operation &operation);
/// They are not called any more.
void drop_requests(std::vector<StatusRequest> &requests);

// ---- filter.cpp -------------------------------------------------------------------------------------------------------
void unregister_filter(const std::shared_ptr<Filter> &filter);
/// Takes a filter off the lists without calling it.
void forget_filter(const std::shared_ptr<Filter> &filter);
/// For a driver whose image goes: what it allocated from the Filter Manager for no filter in particular, and may free until then.
void report_item_leaks(const Driver &driver);
std::shared_ptr<Filter> find_filter(std::u16string_view name);

// ---- dismount.cpp -----------------------------------------------------------------------------------------------------
/// The first create after a mount: attaches the automatic instances.
void attach_to_new_mount(io::Volume &volume);

// ---- message.cpp ------------------------------------------------------------------------------------------------------
/// Ends every FilterGetMessage of the connection with `status`, and lets the senders see that it is not open any more.
void end_messages(Connection &connection, NTSTATUS status);

// ---- name.cpp, port.cpp -----------------------------------------------------------------------------------------------
/// Of a filter; null: of those that were made for none.
void report_name_leaks(const Filter *filter, const std::string &whose);
/// V17; then disconnects what is still connected.
void close_ports_for_unregister(Filter &filter);
/// The connection behind a port's handle; null when the object is not a port.
std::shared_ptr<Connection> connection_of(Object &object);

} // namespace fltsim::flt
