// SPDX-License-Identifier: MIT
//
// This module provides: NativeFile.nt(), NativeBackend.ntCreateFile() and ntQueryByName(): the ntdll services.
// Invariants: each answers [NTSTATUS, information, Win32 error of that status]; the status block and the bytes of a call live until the
// system has been seen to be done with them; a service that the backend lacks answers STATUS_PROCEDURE_NOT_FOUND.

#include "file_call.hpp"
#include "nt_services.hpp"

#include <array>
#include <cstring>

namespace minipend {
namespace {

constexpr uint32_t kStatusPending = 0x00000103;
constexpr uint32_t kStatusInvalidHandle = 0xC0000008;
constexpr uint32_t kStatusInsufficientResources = 0xC000009A;
constexpr uint32_t kStatusSystemShutdown = 0xC00002EB;
constexpr size_t kMostNameBytes = 0xFFFE;

constexpr bool is_error(uint32_t status) {
    return status >> 30 == 3;
}

struct NtResult {
    uint32_t status = kStatusInvalidHandle;
    uint64_t information = 0;
    uint32_t error = kErrorInvalidHandle;

    void set(const Api &api, uint32_t new_status, uint64_t new_information = 0) {
        status = new_status;
        information = new_information;
        // Success and information are no failures, whatever their number translates to.
        error = status >> 31 == 0 ? 0 : static_cast<uint32_t>(api.RtlNtStatusToDosError(static_cast<LONG>(status)));
    }
};

Napi::Value nt_value(Napi::Env env, const NtResult &result, Napi::Value last = {}) {
    Napi::Array value = Napi::Array::New(env, last.IsEmpty() ? 3 : 4);
    value.Set(0u, Napi::Number::New(env, result.status));
    value.Set(1u, Napi::Number::New(env, static_cast<double>(result.information)));
    value.Set(2u, Napi::Number::New(env, result.error));
    if (!last.IsEmpty()) {
        value.Set(3u, last);
    }
    return value;
}

/// What one nt() works on. The bytes are its own; another file's handle, put into the input, is open as long as this is.
struct NtCall {
    const NtService *service = nullptr;
    std::vector<uint64_t> numbers;
    SharedBytes input;
    SharedBytes output;
    std::optional<Use<FileState>> related;
    size_t related_offset = 0;
    NtResult result;
};

bool numbers_fit(Arguments &arguments, const NtService &service, const std::vector<uint64_t> &numbers) {
    for (size_t i = 0; i < numbers.size(); ++i) {
        const char letter = service.arguments[i];
        const uint64_t most = letter == 'b' ? 1 : letter == 'u' ? UINT32_MAX : UINT64_MAX;
        if (numbers[i] > most) {
            arguments.refuse(2, std::string("numbers that fit ") + service.name + ": number " + std::to_string(i + 1) +
                                    " may be at most " + std::to_string(most));
            return false;
        }
    }
    return true;
}

/// The arguments of nt(); null after a TypeError.
std::shared_ptr<NtCall> read_call(Arguments &arguments, std::optional<Napi::Uint8Array> &output) {
    auto call = std::make_shared<NtCall>();
    const std::string name = arguments.utf8(1);
    call->service = find_nt_service(name);
    if (arguments.ok() && call->service == nullptr) {
        arguments.refuse(1, "the name of a service: " + nt_service_names());
    }
    auto numbers = arguments.words(2, call->service == nullptr ? 0 : call->service->arguments.size());
    auto input = arguments.bytes(3, UINT32_MAX);
    output = arguments.bytes(4, UINT32_MAX);
    auto related = object_argument<FileState>(arguments, 5, true);
    if (related != nullptr) {
        call->related_offset = arguments.size(6);
        if (arguments.ok() &&
            (input->ByteLength() < sizeof(HANDLE) || call->related_offset > input->ByteLength() - sizeof(HANDLE))) {
            arguments.refuse(6, "an offset of the input at which a handle of 8 bytes fits");
        }
    }
    if (!arguments.ok() || !numbers_fit(arguments, *call->service, *numbers)) {
        return nullptr;
    }
    call->numbers = std::move(*numbers);
    call->input = copy_in(*input);
    // Copied in too: a control call with METHOD_IN_DIRECT reads it.
    call->output = copy_in(*output);
    if (related != nullptr) {
        call->related.emplace(std::move(related));
    }
    return call;
}

void *bytes_or_null(const SharedBytes &bytes) {
    return bytes->size() == 0 ? nullptr : bytes->data();
}

/// Waits until an operation that is pending has ended.
void wait_for_end(FileUse &use, const std::shared_ptr<NtCall> &call) {
    Backend &backend = *use.file->backend;
    OVERLAPPED &overlapped = use.call->overlapped;
    DWORD transferred = 0;
    if (!backend.api->GetOverlappedResult(use.file->handle, &overlapped, &transferred, TRUE) &&
        backend.api->GetLastError() == kErrorShutdownInProgress) {
        // The wait ended, not the operation: what the system may still write to stays as long as the backend.
        backend.keep(use.call);
        backend.keep(call);
        call->result.set(*backend.api, kStatusSystemShutdown);
        return;
    }
    call->result.set(*backend.api, static_cast<uint32_t>(overlapped.Internal), overlapped.InternalHigh);
}

void issue(FileUse &use, const std::shared_ptr<NtCall> &call, NtRequest &request, Packet *packet) {
    const Api &api = *use.file->backend->api;
    const auto status = static_cast<uint32_t>(call->service->call(api.nt, request));
    if (status == kStatusPending) {
        use.call->pending();
        wait_for_end(use, call);
    } else if (is_error(status)) {
        call->result.set(api, status);
        if (packet != nullptr) {
            packet->will_not_come();
        }
    } else {
        call->result.set(api, status, request.status->Information);
        if (packet != nullptr) {
            packet->ended_at_once();
        }
    }
    if (request.has_extra) {
        call->result.information = request.extra;
    }
    if (!is_error(call->result.status)) {
        call->output->copy_out = call->output->size();
    }
}

void run(FileUse &use, WorkerThread &thread, const std::shared_ptr<NtCall> &call) {
    Backend &backend = *use.file->backend;
    const Api &api = *backend.api;
    if (!call->service->available(api.nt)) {
        call->result.set(api, kStatusProcedureNotFound);
        return;
    }
    if (call->related) {
        if (!call->related->inside()) {
            return; // closed meanwhile: an invalid handle
        }
        HANDLE handle = (**call->related).handle;
        std::memcpy(call->input->data() + call->related_offset, &handle, sizeof(handle));
    }
    NtRequest request;
    request.handle = use.file->handle;
    static_assert(sizeof(IO_STATUS_BLOCK) == 16 && sizeof(OVERLAPPED) >= 16);
    request.status = reinterpret_cast<IO_STATUS_BLOCK *>(&use.call->overlapped);
    request.arguments = call->numbers.data();
    request.input = bytes_or_null(call->input);
    request.input_bytes = static_cast<ULONG>(call->input->size());
    request.output = bytes_or_null(call->output);
    request.output_bytes = static_cast<ULONG>(call->output->size());
    if (!(call->service->waits && use.file->overlapped)) {
        if (use.call->begin(IoCall::Way::thread, backend.thread_id(thread))) {
            issue(use, call, request, nullptr);
            use.call->end();
        } else {
            call->result.set(api, kStatusCancelled);
        }
        return;
    }
    request.event = backend.event_of(thread);
    use.call->overlapped.hEvent = request.event;
    if (request.event == nullptr) {
        call->result.set(api, kStatusInsufficientResources);
    } else if (use.call->begin(IoCall::Way::overlapped, 0)) {
        Packet packet(use);
        request.context = packet.wanted() ? &use.call->overlapped : nullptr;
        issue(use, call, request, &packet);
        use.call->end();
    } else {
        call->result.set(api, kStatusCancelled);
    }
}

/// A name with the object attributes that stand for it. Does not move: they point at one another.
class ObjectName {
  public:
    ObjectName(SharedBytes name, uint32_t attributes, std::shared_ptr<FileState> root) : name_(std::move(name)) {
        text_.Length = static_cast<USHORT>(name_->size());
        text_.MaximumLength = text_.Length;
        text_.Buffer = reinterpret_cast<decltype(text_.Buffer)>(name_->data());
        object_.Length = sizeof(object_);
        object_.ObjectName = &text_;
        object_.Attributes = attributes;
        if (root != nullptr) {
            object_.RootDirectory = root->handle;
            root_.emplace(std::move(root));
        }
    }
    ObjectName(const ObjectName &) = delete;
    ObjectName &operator=(const ObjectName &) = delete;

    /// False: the root directory's handle has been closed.
    bool usable() const { return !root_ || root_->inside(); }
    OBJECT_ATTRIBUTES *attributes() { return &object_; }

  private:
    SharedBytes name_;
    UNICODE_STRING text_{};
    OBJECT_ATTRIBUTES object_{};
    std::optional<Use<FileState>> root_;
};

std::shared_ptr<FileState> root_argument(Arguments &arguments, size_t index, const Backend &backend) {
    auto root = object_argument<FileState>(arguments, index, true);
    if (root != nullptr && root->backend.get() != &backend) {
        arguments.refuse(index, "a directory of the same backend");
    }
    return root;
}

enum CreateNumber : size_t { kAccess, kObject, kFileAttributes, kShare, kDisposition, kOptions, kAllocation };
constexpr size_t kCreateNumbers = 7;
constexpr uint32_t kFileSynchronousIo = 0x30; ///< FILE_SYNCHRONOUS_IO_ALERT and _NONALERT

struct NtCreated {
    NtResult result;
    std::shared_ptr<FileState> file;
};

void create(const std::shared_ptr<Backend> &backend, const std::shared_ptr<Environment> &environment, ObjectName &name,
            const std::vector<uint64_t> &numbers, const SharedBytes &ea, NtCreated &created) {
    const Api &api = *backend->api;
    if (api.nt.NtCreateFile == nullptr) {
        created.result.set(api, kStatusProcedureNotFound);
        return;
    }
    const auto number = [&](CreateNumber which) { return static_cast<ULONG>(numbers[which]); };
    LARGE_INTEGER allocation{};
    allocation.QuadPart = static_cast<decltype(allocation.QuadPart)>(numbers[kAllocation]);
    HANDLE handle = nullptr;
    IO_STATUS_BLOCK status{};
    const auto answer = static_cast<uint32_t>(
        api.nt.NtCreateFile(&handle, number(kAccess), name.attributes(), &status,
                            numbers[kAllocation] == 0 ? nullptr : &allocation, number(kFileAttributes), number(kShare),
                            number(kDisposition), number(kOptions), bytes_or_null(ea), static_cast<ULONG>(ea->size())));
    created.result.set(api, answer, is_error(answer) ? 0 : status.Information);
    if (answer >> 31 == 0) {
        const bool overlapped = (number(kOptions) & kFileSynchronousIo) == 0;
        created.file = std::make_shared<FileState>(backend, environment, handle, overlapped);
        backend->add(created.file);
    }
}

using ByNameCall = NTSTATUS (*)(const NtApi &, OBJECT_ATTRIBUTES *, IO_STATUS_BLOCK *, void *, ULONG, ULONG);

struct ByNameService {
    const char *name;
    size_t least_bytes; ///< that it writes without asking
    bool (*available)(const NtApi &);
    ByNameCall call;
};

constexpr std::array kByNameServices = {
    ByNameService{"NtQueryAttributesFile", 40, [](const NtApi &nt) { return nt.NtQueryAttributesFile != nullptr; },
                  [](const NtApi &nt, OBJECT_ATTRIBUTES *object, IO_STATUS_BLOCK *, void *output, ULONG, ULONG) {
                      return nt.NtQueryAttributesFile(object, output);
                  }},
    ByNameService{"NtQueryFullAttributesFile", 56,
                  [](const NtApi &nt) { return nt.NtQueryFullAttributesFile != nullptr; },
                  [](const NtApi &nt, OBJECT_ATTRIBUTES *object, IO_STATUS_BLOCK *, void *output, ULONG, ULONG) {
                      return nt.NtQueryFullAttributesFile(object, output);
                  }},
    ByNameService{
        "NtQueryInformationByName", 0, [](const NtApi &nt) { return nt.NtQueryInformationByName != nullptr; },
        [](const NtApi &nt, OBJECT_ATTRIBUTES *object, IO_STATUS_BLOCK *status, void *output, ULONG bytes,
           ULONG information) { return nt.NtQueryInformationByName(object, status, output, bytes, information); }},
};

const ByNameService *by_name_argument(Arguments &arguments, size_t index) {
    const std::string name = arguments.utf8(index);
    for (const ByNameService &service : kByNameServices) {
        if (name == service.name) {
            return &service;
        }
    }
    arguments.refuse(index, "NtQueryAttributesFile, NtQueryFullAttributesFile or NtQueryInformationByName");
    return nullptr;
}

} // namespace

Napi::Value nt(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    const uint32_t id = arguments.u32(0);
    std::optional<Napi::Uint8Array> output;
    auto call = read_call(arguments, output);
    if (call == nullptr) {
        return {};
    }
    auto convert = [call](Napi::Env env) { return nt_value(env, call->result); };
    return start_file_call(arguments, file, id, call, std::move(convert), call->output, output,
                           [call](FileUse &use, WorkerThread &thread, NtCall &) { run(use, thread, call); });
}

Napi::Value nt_create_file(Arguments &arguments, const std::shared_ptr<Backend> &backend) {
    auto name = arguments.bytes(0, kMostNameBytes);
    auto numbers = arguments.words(1, kCreateNumbers);
    auto ea = arguments.bytes(2, UINT32_MAX);
    auto root = root_argument(arguments, 3, *backend);
    for (size_t i = 0; arguments.ok() && i < kAllocation; ++i) {
        if ((*numbers)[i] > UINT32_MAX) {
            arguments.refuse(1, "six numbers of 32 bits, and one of 64");
        }
    }
    if (!arguments.ok()) {
        return {};
    }
    auto object = std::make_shared<ObjectName>(copy_in(*name), static_cast<uint32_t>((*numbers)[kObject]), root);
    auto created = std::make_shared<NtCreated>();
    auto environment = Environment::of(arguments.env()).shared_from_this();
    auto work = [backend, environment, object, numbers = std::move(*numbers), bytes = copy_in(*ea),
                 created](WorkerThread &) {
        if (backend->ready() && object->usable()) {
            create(backend, environment, *object, numbers, bytes, *created);
        }
    };
    object.reset();
    auto convert = [created](Napi::Env env) {
        Napi::Value opened = env.Undefined();
        if (created->file != nullptr) {
            opened = make_object(env, created->file);
        }
        return nt_value(env, created->result, opened);
    };
    return environment->start(backend->threads->io, std::move(work), std::move(convert));
}

Napi::Value nt_query_by_name(Arguments &arguments, const std::shared_ptr<Backend> &backend) {
    const ByNameService *service = by_name_argument(arguments, 0);
    auto name = arguments.bytes(1, kMostNameBytes);
    const uint32_t attributes = arguments.u32(2);
    const uint32_t information = arguments.u32(3);
    auto output = arguments.bytes(4, UINT32_MAX);
    auto root = root_argument(arguments, 5, *backend);
    if (arguments.ok() && output->ByteLength() < service->least_bytes) {
        arguments.refuse(4, "a Uint8Array of at least " + std::to_string(service->least_bytes) + " bytes");
    }
    if (!arguments.ok()) {
        return {};
    }
    auto object = std::make_shared<ObjectName>(copy_in(*name), attributes, root);
    auto bytes = std::make_shared<Bytes>(output->ByteLength());
    auto result = std::make_shared<NtResult>();
    auto work = [backend, service, object, information, bytes, result](WorkerThread &) {
        if (!backend->ready() || !object->usable()) {
            return;
        }
        const Api &api = *backend->api;
        if (!service->available(api.nt)) {
            result->set(api, kStatusProcedureNotFound);
            return;
        }
        IO_STATUS_BLOCK status{};
        const auto answer = static_cast<uint32_t>(service->call(api.nt, object->attributes(), &status, bytes->data(),
                                                                static_cast<ULONG>(bytes->size()), information));
        result->set(api, answer, is_error(answer) ? 0 : status.Information);
        bytes->copy_out = is_error(answer) ? 0 : bytes->size();
    };
    object.reset();
    auto convert = [result](Napi::Env env) { return nt_value(env, *result); };
    return Environment::of(arguments.env())
        .start(backend->threads->io, std::move(work), std::move(convert), bytes, output);
}

} // namespace minipend
