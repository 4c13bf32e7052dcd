// SPDX-License-Identifier: MIT
#include "wdf/driver.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"
#include "core/readings.hpp"
#include "core/registry.hpp"

namespace fltsim::wdf {
namespace {

constexpr ULONG COMPANION = 0x10;
constexpr ULONG TAG_DDK = 0x206B6444; // 'Ddk ', which says nothing about the driver
constexpr ULONG TAG_FALLBACK = 0x72447846; // 'FxDr'

std::u16string_view view(const char *api, PCUNICODE_STRING text) {
    if (text == nullptr || text->Length % sizeof(WCHAR) != 0 || (text->Length != 0 && text->Buffer == nullptr)) {
        violation(api, "a string is null or malformed");
    }
    return {text->Buffer, text->Length / sizeof(WCHAR)};
}

/// The service's name: the last component of the registry path, narrowed.
void set_name(WDF_DRIVER_GLOBALS &globals, std::u16string_view registry_path) {
    const std::u16string_view name = registry_path.substr(registry_path.rfind(u'\\') + 1);
    const size_t count = std::min(name.size(), sizeof globals.DriverName - 1);
    std::memset(globals.DriverName, 0, sizeof globals.DriverName);
    std::transform(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(count), globals.DriverName,
                   [](char16_t c) { return c < 0x80 ? static_cast<char>(c) : '?'; });
}

ULONG tag_from(const WDF_DRIVER_GLOBALS &globals, ULONG configured) {
    if (configured != 0 && configured != TAG_DDK) {
        return configured;
    }
    if (std::strlen(globals.DriverName) < 4) {
        return TAG_FALLBACK;
    }
    ULONG tag = 0;
    for (int i = 3; i >= 0; --i) {
        tag = tag << 8 | static_cast<unsigned char>(globals.DriverName[i]);
    }
    return tag;
}

NTSTATUS NTAPI framework_dispatch(PDEVICE_OBJECT, PIRP) {
    KernelCall call("KMDF dispatch", DISPATCH_LEVEL);
    unmodelled("KMDF dispatch",
               "the framework's dispatch routine: a minifilter sets WdfDriverInitNoDispatchOverride [KMDF-03]");
}

void NTAPI framework_unload(PDRIVER_OBJECT) {
    KernelCall call("KMDF unload", PASSIVE_LEVEL);
    unmodelled("KMDF unload",
               "the framework's unload routine: a minifilter sets WdfDriverInitNoDispatchOverride [KMDF-03]");
}

void override_driver_object(DRIVER_OBJECT &driver_object, const WDF_DRIVER_CONFIG &config) {
    std::fill(std::begin(driver_object.MajorFunction), std::end(driver_object.MajorFunction), framework_dispatch);
    if ((config.DriverInitFlags & WdfDriverInitNonPnpDriver) == 0 || config.EvtDriverUnload != nullptr) {
        driver_object.DriverUnload = framework_unload;
    }
}

NTSTATUS check_config(const WDF_DRIVER_CONFIG &config) {
    if (config.Size != sizeof(WDF_DRIVER_CONFIG)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    constexpr ULONG NON_PNP = WdfDriverInitNonPnpDriver;
    constexpr ULONG NO_OVERRIDE = WdfDriverInitNoDispatchOverride;
    if ((config.DriverInitFlags & ~(NON_PNP | NO_OVERRIDE | COMPANION)) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((config.DriverInitFlags & COMPANION) != 0) {
        unmodelled("WdfDriverCreate", "a companion driver");
    }
    if ((config.DriverInitFlags & (NON_PNP | NO_OVERRIDE)) == NON_PNP && config.EvtDriverDeviceAdd != nullptr) {
        return STATUS_INVALID_PARAMETER; // KMDF-01
    }
    return STATUS_SUCCESS;
}

} // namespace

/// IRQL = PASSIVE_LEVEL. STATUS_DRIVER_INTERNAL_ERROR on a second call, STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER,
/// STATUS_INSUFFICIENT_RESOURCES [KMDF-01..05].
NTSTATUS NTAPI driver_create(PWDF_DRIVER_GLOBALS globals, PDRIVER_OBJECT driver_object, PCUNICODE_STRING registry_path,
                             PWDF_OBJECT_ATTRIBUTES attributes, PWDF_DRIVER_CONFIG config, WDFDRIVER *driver) {
    KernelCall call("WdfDriverCreate", PASSIVE_LEVEL);
    Client &client = world().wdf->client("WdfDriverCreate", globals);
    if (driver_object == nullptr || registry_path == nullptr || config == nullptr) {
        violation("WdfDriverCreate", "DriverObject, RegistryPath and DriverConfig must not be null");
    }
    if (driver != nullptr) {
        *driver = nullptr;
    }
    NTSTATUS status = check_config(*config);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (client.driver != nullptr) {
        return STATUS_DRIVER_INTERNAL_ERROR;
    }
    if (attributes != nullptr && attributes->ParentObject != nullptr) {
        return STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED;
    }
    if (const auto failure = failing("WdfDriverCreate")) {
        return *failure;
    }
    const std::u16string_view path = view("WdfDriverCreate", registry_path);
    auto made = std::make_unique<Driver>(client);
    made->registry_path = path;
    // check_attributes looks at the driver for a default parent; this one has none.
    client.driver = made.get();
    Object *parent = nullptr;
    status = client.check_attributes("WdfDriverCreate", attributes, &parent);
    client.driver = nullptr;
    if (!NT_SUCCESS(status)) {
        return status;
    }
    set_name(client.globals, path);
    client.globals.DriverTag = tag_from(client.globals, config->DriverPoolTag);
    client.driver = client.adopt(std::move(made), nullptr, attributes);
    if (client.driver == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    const bool overrides = (config->DriverInitFlags & WdfDriverInitNoDispatchOverride) == 0;
    if (overrides) {
        override_driver_object(*driver_object, *config);
    }
    if (overrides || reading<MiniportUnload>() == MiniportUnload::CallsDriver) {
        client.driver->unload = config->EvtDriverUnload; // KMDF-04: in the source stored in the first case only
    }
    client.globals.Driver = static_cast<WDFDRIVER>(client.driver->handle());
    client.globals.DriverFlags |= config->DriverInitFlags;
    const bool pnp = (config->DriverInitFlags & (WdfDriverInitNonPnpDriver | WdfDriverInitNoDispatchOverride)) == 0;
    client.globals.DisplaceDriverUnload = pnp || config->EvtDriverUnload != nullptr ? TRUE : FALSE; // KMDF-05
    if (driver != nullptr) {
        *driver = client.globals.Driver;
    }
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. The framework's own entry 201: deletes the driver object and everything below it [KMDF-06].
void NTAPI driver_miniport_unload(PWDF_DRIVER_GLOBALS globals, WDFDRIVER handle) {
    KernelCall call("WdfDriverMiniportUnload", PASSIVE_LEVEL);
    Client &client = world().wdf->client("WdfDriverMiniportUnload", globals);
    Driver &driver = client.object<Driver>("WdfDriverMiniportUnload", handle, "WDFDRIVER");
    if (driver.unload != nullptr) {
        DriverCall callback("EvtDriverUnload");
        driver.unload(static_cast<WDFDRIVER>(driver.handle()));
    }
    client.delete_driver("WdfDriverMiniportUnload");
}

/// IRQL = PASSIVE_LEVEL. Creates the key when the service has none.
NTSTATUS NTAPI driver_open_parameters_registry_key(PWDF_DRIVER_GLOBALS globals, WDFDRIVER handle, ACCESS_MASK,
                                                   PWDF_OBJECT_ATTRIBUTES attributes, WDFKEY *key) {
    constexpr const char *API = "WdfDriverOpenParametersRegistryKey";
    KernelCall call(API, PASSIVE_LEVEL);
    Client &client = world().wdf->client(API, globals);
    const Driver &driver = client.object<Driver>(API, handle, "WDFDRIVER");
    if (key == nullptr) {
        violation(API, "Key is null");
    }
    *key = nullptr;
    Object *parent = nullptr;
    const NTSTATUS status = client.check_attributes(API, attributes, &parent);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (const auto failure = failing(API)) {
        return *failure;
    }
    auto made = std::make_unique<Key>(client);
    made->path = driver.registry_path + u"\\Parameters";
    world().registry->create_key(made->path);
    Key *opened = client.adopt(std::move(made), parent, attributes);
    if (opened == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *key = static_cast<WDFKEY>(opened->handle());
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. STATUS_OBJECT_NAME_NOT_FOUND; STATUS_OBJECT_TYPE_MISMATCH when the value is not a REG_DWORD.
NTSTATUS NTAPI registry_query_ulong(PWDF_DRIVER_GLOBALS globals, WDFKEY handle, PCUNICODE_STRING name, PULONG value) {
    KernelCall call("WdfRegistryQueryULong", PASSIVE_LEVEL);
    const Key &key =
        world().wdf->client("WdfRegistryQueryULong", globals).object<Key>("WdfRegistryQueryULong", handle, "WDFKEY");
    if (name == nullptr || value == nullptr) {
        violation("WdfRegistryQueryULong", "ValueName and Value must not be null");
    }
    if (const auto failure = failing("WdfRegistryQueryULong")) {
        return *failure;
    }
    const Registry::Value *found = world().registry->find(key.path, view("WdfRegistryQueryULong", name));
    if (found == nullptr) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    const uint32_t *number = std::get_if<uint32_t>(found);
    if (number == nullptr) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    *value = *number;
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. Deletes the key's object.
void NTAPI registry_close(PWDF_DRIVER_GLOBALS globals, WDFKEY handle) {
    KernelCall call("WdfRegistryClose", PASSIVE_LEVEL);
    Client &client = world().wdf->client("WdfRegistryClose", globals);
    client.delete_object("WdfRegistryClose", client.object<Key>("WdfRegistryClose", handle, "WDFKEY"));
}

} // namespace fltsim::wdf
