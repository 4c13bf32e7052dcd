// SPDX-License-Identifier: MIT
//
// This module provides: tests of the registry as drivers read it.
#include <functional>
#include <string>
#include <vector>

#include "core/faults.hpp"
#include "core/registry.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::report_of;
using check::stopped_on;

namespace {

constexpr const char16_t *SERVICE = u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\other";

UNICODE_STRING unicode(const std::u16string &text) {
    const USHORT bytes = static_cast<USHORT>(text.size() * sizeof(WCHAR));
    return {bytes, bytes, reinterpret_cast<PWCH>(const_cast<char16_t *>(text.data()))};
}

NTSTATUS open(const std::u16string &name, HANDLE *handle, HANDLE root = nullptr) {
    UNICODE_STRING text = unicode(name);
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &text, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, root, nullptr);
    return ZwOpenKey(handle, KEY_READ, &attributes);
}

NTSTATUS query(HANDLE key, const std::u16string &name, KEY_VALUE_INFORMATION_CLASS information_class, void *buffer,
               ULONG bytes, ULONG *needed) {
    UNICODE_STRING text = unicode(name);
    return ZwQueryValueKey(key, &text, information_class, buffer, bytes, needed);
}

/// A world in which the service has a number and a text, and its key is open.
std::string with(const std::function<void(World &, HANDLE)> &fn) {
    return report_of(check::virtual_world(), [&](World &world) {
        world.registry->set(SERVICE, u"Level", uint32_t{7});
        world.registry->set(SERVICE, u"Path", std::u16string(u"C:\\x"));
        world.registry->create_key(std::u16string(SERVICE) + u"\\Parameters");
        HANDLE key = nullptr;
        CHECK_EQ(open(SERVICE, &key), STATUS_SUCCESS);
        fn(world, key);
        CHECK_EQ(ZwClose(key), STATUS_SUCCESS);
    });
}

} // namespace

TEST(keys_are_opened_by_name) {
    const std::string report = with([](World &, HANDLE key) {
        HANDLE other = nullptr;
        CHECK_EQ(open(u"\\registry\\MACHINE\\system\\currentcontrolset\\services\\OTHER", &other), STATUS_SUCCESS);
        CHECK_EQ(ZwClose(other), STATUS_SUCCESS);
        CHECK_EQ(open(u"Parameters", &other, key), STATUS_SUCCESS);
        ULONG needed = 0;
        UCHAR buffer[64];
        CHECK_EQ(query(other, u"Level", KeyValuePartialInformation, buffer, sizeof buffer, &needed),
                 STATUS_OBJECT_NAME_NOT_FOUND); // that is the service's, not its Parameters'
        CHECK_EQ(ZwClose(other), STATUS_SUCCESS);
        CHECK_EQ(query(other, u"Level", KeyValuePartialInformation, buffer, sizeof buffer, &needed),
                 STATUS_INVALID_HANDLE);
        CHECK_EQ(open(std::u16string(SERVICE) + u"\\Nothing", &other), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(open(u"Nothing", &other, key), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(open(u"Parameters", &other), STATUS_OBJECT_PATH_SYNTAX_BAD);
        CHECK_EQ(open(u"\\Parameters", &other, key), STATUS_OBJECT_PATH_SYNTAX_BAD);
        CHECK_EQ(open(u"Parameters", &other, reinterpret_cast<HANDLE>(0x1234)), STATUS_INVALID_HANDLE);
        CHECK_EQ(ZwOpenKey(&other, KEY_READ, nullptr), STATUS_INVALID_PARAMETER);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(values_are_read_as_they_are) {
    const std::string report = with([](World &, HANDLE key) {
        alignas(8) UCHAR buffer[64];
        ULONG needed = 0;
        const auto *partial = reinterpret_cast<const KEY_VALUE_PARTIAL_INFORMATION *>(buffer);
        CHECK_EQ(query(key, u"level", KeyValuePartialInformation, buffer, sizeof buffer, &needed), STATUS_SUCCESS);
        CHECK_EQ(needed, 16u);
        CHECK_EQ(partial->TitleIndex, 0u);
        CHECK_EQ(partial->Type, REG_DWORD);
        CHECK_EQ(partial->DataLength, 4u);
        CHECK_EQ(partial->Data[0], 7);
        CHECK_EQ(partial->Data[3], 0);
        CHECK_EQ(query(key, u"Path", KeyValuePartialInformation, buffer, sizeof buffer, &needed), STATUS_SUCCESS);
        CHECK_EQ(partial->Type, REG_SZ);
        CHECK_EQ(partial->DataLength, 10u); // with its terminator
        CHECK(std::memcmp(partial->Data, u"C:\\x", 10) == 0);

        const auto *full = reinterpret_cast<const KEY_VALUE_FULL_INFORMATION *>(buffer);
        CHECK_EQ(query(key, u"Level", KeyValueFullInformation, buffer, sizeof buffer, &needed), STATUS_SUCCESS);
        CHECK_EQ(full->Type, REG_DWORD);
        CHECK_EQ(full->NameLength, 10u);
        CHECK(std::memcmp(full->Name, u"Level", 10) == 0);
        CHECK_EQ(full->DataOffset, 32u); // behind 20 and 10 bytes, aligned
        CHECK_EQ(full->DataLength, 4u);
        CHECK_EQ(buffer[full->DataOffset], 7);
        CHECK_EQ(needed, 36u);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(values_that_do_not_fit) {
    const std::string report = with([](World &, HANDLE key) {
        alignas(8) UCHAR buffer[64];
        ULONG needed = 0;
        const auto try_with = [&](KEY_VALUE_INFORMATION_CLASS information_class, ULONG bytes) {
            std::memset(buffer, 0xEE, sizeof buffer);
            const NTSTATUS status = query(key, u"Path", information_class, buffer, bytes, &needed);
            for (ULONG i = bytes; i < sizeof buffer; ++i) {
                CHECK_EQ(buffer[i], 0xEE);
            }
            return status;
        };
        CHECK_EQ(try_with(KeyValuePartialInformation, 11), STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(needed, 22u);
        CHECK_EQ(try_with(KeyValuePartialInformation, 12), STATUS_BUFFER_OVERFLOW);
        CHECK_EQ(reinterpret_cast<const KEY_VALUE_PARTIAL_INFORMATION *>(buffer)->DataLength, 10u);
        CHECK_EQ(try_with(KeyValuePartialInformation, 21), STATUS_BUFFER_OVERFLOW);
        CHECK_EQ(buffer[12], 'C');
        CHECK_EQ(try_with(KeyValuePartialInformation, 22), STATUS_SUCCESS);
        CHECK_EQ(try_with(KeyValueFullInformation, 19), STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(needed, 38u);
        CHECK_EQ(try_with(KeyValueFullInformation, 20), STATUS_BUFFER_OVERFLOW);
        CHECK_EQ(try_with(KeyValueFullInformation, 37), STATUS_BUFFER_OVERFLOW);
        CHECK_EQ(try_with(KeyValueFullInformation, 38), STATUS_SUCCESS);
        CHECK_EQ(query(key, u"Path", KeyValuePartialInformation, nullptr, 0, &needed), STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(query(key, u"Nothing", KeyValuePartialInformation, buffer, 64, &needed), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(query(key, u"Path", MaxKeyValueInfoClass, buffer, 64, &needed), STATUS_INVALID_PARAMETER);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(registry_reads_that_fail_and_what_is_not_modelled) {
    CHECK(check::contains(with([](World &world, HANDLE key) {
                              ULONG needed = 0;
                              UCHAR buffer[64];
                              HANDLE other = nullptr;
                              world.faults->set("ZwOpenKey", 0, 1);
                              CHECK_EQ(open(SERVICE, &other), STATUS_ACCESS_DENIED);
                              world.faults->set("ZwQueryValueKey", 0, 1);
                              CHECK_EQ(query(key, u"Level", KeyValuePartialInformation, buffer, 64, &needed),
                                       STATUS_INSUFFICIENT_RESOURCES);
                          }),
                          "\"stopped\":false"));
    CHECK(stopped_on(with([](World &, HANDLE key) {
                         ULONG needed = 0;
                         UCHAR buffer[64];
                         query(key, u"Level", KeyValueBasicInformation, buffer, 64, &needed);
                     }),
                     "UNMODELLED"));
    CHECK(stopped_on(with([](World &, HANDLE) {
                         HANDLE other = nullptr;
                         const IrqlScope apc(APC_LEVEL);
                         open(SERVICE, &other);
                     }),
                     "V5 IRQL too high"));
}

} // namespace MINIPEND_TEST_FILE
