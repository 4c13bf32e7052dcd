// SPDX-License-Identifier: MIT
#include "wdf/framework.hpp"

#include <algorithm>
#include <string>

#include "image/pe_image.hpp"
#include "wdf/object.hpp"

namespace fltsim::wdf {
namespace {

constexpr ULONG MAJOR = 1;
constexpr ULONG NEWEST_MINOR = 33;
/// Table sizes of the framework's releases [KMDF-24].
constexpr ULONG RELEASED_COUNTS[] = {383, 386, 387, 396, 432, 438, 444, 446, 448, 451, 453, 454, 458};
/// From this size on the client gives the address of a pointer instead of an array [KMDF-25].
constexpr ULONG FIRST_POINTER_COUNT = 444;

/// What Module points at while a client is bound: only its address matters.
char library_record;

NTSTATUS check_version(const WDF_BIND_INFO &info) {
    const bool kmdf = info.Component != nullptr && std::u16string_view(info.Component) == u"KmdfLibrary";
    if (!kmdf || info.Version.Major != MAJOR || info.Version.Minor > NEWEST_MINOR) {
        world().note("framework: a client of version " + std::to_string(info.Version.Major) + "." +
                     std::to_string(info.Version.Minor) + " cannot be served by 1." + std::to_string(NEWEST_MINOR));
        return STATUS_INVALID_PARAMETER;
    }
    if (std::ranges::find(RELEASED_COUNTS, info.FuncCount) == std::end(RELEASED_COUNTS)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (info.FuncCount > WdfFunctionTableNumEntries) {
        unmodelled("WdfVersionBind",
                   "a client of more than " + std::to_string(WdfFunctionTableNumEntries) + " functions");
    }
    return STATUS_SUCCESS;
}

/// The function table for the image that this bind information is part of.
const WDFFUNC *table_for([[maybe_unused]] const WDF_BIND_INFO *info) {
    const WDFFUNC *table = function_table();
#if FLTSIM_WINDOWS_IMAGES
    if (image::PeImage *image = image::image_at(reinterpret_cast<uint64_t>(info))) {
        return reinterpret_cast<const WDFFUNC *>(
            image->gated_table(reinterpret_cast<void *const *>(table), WdfFunctionTableNumEntries));
    }
#endif
    return table;
}

} // namespace

Framework::Framework(World &world) : world_(world) {}

Framework::~Framework() = default;

NTSTATUS Framework::bind(PDRIVER_OBJECT driver_object, PUNICODE_STRING registry_path, PWDF_BIND_INFO info,
                         PWDF_COMPONENT_GLOBALS *globals) {
    if (driver_object == nullptr || registry_path == nullptr || info == nullptr || globals == nullptr ||
        info->FuncTable == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    if (info->Size != sizeof(WDF_BIND_INFO)) {
        return STATUS_INVALID_PARAMETER;
    }
    const NTSTATUS status = check_version(*info);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    auto client = std::make_unique<Client>(world_, driver_object);
    client->bind_info = info;
    const WDFFUNC *table = table_for(info);
    if (info->FuncCount >= FIRST_POINTER_COUNT) {
        *static_cast<const WDFFUNC **>(static_cast<void *>(info->FuncTable)) = table;
    } else {
        std::copy_n(table, info->FuncCount, info->FuncTable);
    }
    info->Module = reinterpret_cast<PLIBRARY_MODULE>(&library_record);
    *globals = reinterpret_cast<PWDF_COMPONENT_GLOBALS>(&client->globals);
    clients_.push_back(std::move(client));
    return STATUS_SUCCESS;
}

NTSTATUS Framework::unbind(PWDF_BIND_INFO info, PWDF_COMPONENT_GLOBALS globals) {
    if (info == nullptr || globals == nullptr) {
        return STATUS_UNSUCCESSFUL;
    }
    const auto same = [&](const std::unique_ptr<Client> &client) {
        return static_cast<void *>(&client->globals) == static_cast<void *>(globals);
    };
    const auto found = std::ranges::find_if(clients_, same);
    if (found == clients_.end() || (*found)->bind_info != info) {
        violation("WdfVersionUnbind", "the image is not bound (any more)");
    }
    // Still there when the driver never called WdfDriverMiniportUnload itself, or calls it through the stub's unbind [KMDF-06, KMDF-07].
    (*found)->delete_driver("WdfVersionUnbind");
    // Found anew: callbacks ran.
    clients_.erase(std::ranges::find_if(clients_, same));
    info->Module = nullptr;
    return STATUS_SUCCESS;
}

Client &Framework::client(const char *api, PWDF_DRIVER_GLOBALS globals) {
    for (const auto &client : clients_) {
        if (&client->globals == globals) {
            return *client;
        }
    }
    violation(api, "called without the framework: before WdfVersionBind or after WdfDriverMiniportUnload [KMDF-06]");
}

std::vector<std::string> Framework::describe() const {
    std::vector<std::string> lines;
    for (const auto &client : clients_) {
        const std::vector<std::string> more = client->describe();
        lines.insert(lines.end(), more.begin(), more.end());
    }
    return lines;
}

void Framework::image_unloaded() {
    for (const auto &client : clients_) {
        world_.leak("framework driver " + std::string(client->globals.DriverName) +
                    ": unloaded without WdfDriverMiniportUnload; the framework was never told [KMDF-06]");
        client->abandon();
    }
    clients_.clear();
}

} // namespace fltsim::wdf

using namespace fltsim;

/// IRQL = PASSIVE_LEVEL. The loader's export that an image's entry stub calls first [KMDF-20].
FLTSIM_KERNEL NTSTATUS NTAPI WdfVersionBind(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath,
                                            PWDF_BIND_INFO BindInfo, PWDF_COMPONENT_GLOBALS *ComponentGlobals) {
    KernelCall call("WdfVersionBind", PASSIVE_LEVEL);
    return world().wdf->bind(DriverObject, RegistryPath, BindInfo, ComponentGlobals);
}

/// IRQL = PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS NTAPI WdfVersionUnbind(PUNICODE_STRING RegistryPath, PWDF_BIND_INFO BindInfo,
                                              PWDF_COMPONENT_GLOBALS ComponentGlobals) {
    KernelCall call("WdfVersionUnbind", PASSIVE_LEVEL);
    return world().wdf->unbind(BindInfo, ComponentGlobals);
}
