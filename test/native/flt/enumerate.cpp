// SPDX-License-Identifier: MIT
//
// This module provides: tests of the lists of a filter's instances: FilterInstanceFindFirst, FilterInstanceFindNext, FilterInstanceFindClose.

#include "core/registry.hpp"
#include "flt/recorder.hpp"

#include <cstring>
#include <fltsim_user.h>

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

constexpr HRESULT NO_MORE_ITEMS = HRESULT_FROM_WIN32(ERROR_NO_MORE_ITEMS);
constexpr HRESULT TOO_SMALL = HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER);
constexpr HRESULT BAD_PARAMETER = HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER);
constexpr HRESULT BAD_HANDLE = HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
constexpr auto FILTER_NOT_FOUND = static_cast<HRESULT>(0x801F0013);

struct Buffer {
    alignas(8) char bytes[1024];
    DWORD returned = 0;
    template <class T> const T &as() const { return *reinterpret_cast<const T *>(bytes); }
    std::u16string text(USHORT length, USHORT offset) const {
        CHECK(offset + length <= returned);
        std::u16string result(length / sizeof(char16_t), u'\0');
        std::memcpy(result.data(), bytes + offset, length);
        return result;
    }
    std::u16string name() const {
        const auto &full = as<INSTANCE_FULL_INFORMATION>();
        return text(full.InstanceNameLength, full.InstanceNameBufferOffset);
    }
};

HRESULT first(const char16_t *filter, INSTANCE_INFORMATION_CLASS information_class, Buffer &buffer, HANDLE *search,
              DWORD room = sizeof(Buffer::bytes)) {
    *search = nullptr;
    return FilterInstanceFindFirst(filter, information_class, buffer.bytes, room, &buffer.returned, search);
}

HRESULT next(HANDLE search, Buffer &buffer, INSTANCE_INFORMATION_CLASS information_class = InstanceFullInformation,
             DWORD room = sizeof(Buffer::bytes)) {
    return FilterInstanceFindNext(search, information_class, buffer.bytes, room, &buffer.returned);
}

void attach(const char16_t *volume, const char16_t *altitude, const char16_t *name) {
    CHECK_EQ(FilterAttachAtAltitude(u"one", volume, altitude, name, 0, nullptr), S_OK);
}

} // namespace

TEST(instances_are_listed_in_the_order_of_attachment) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        Driver one(u"one", u"12.50"), other(u"other", u"7");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(other.load(bench.world) == STATUS_SUCCESS);
        Buffer buffer;
        HANDLE search = nullptr;
        CHECK_EQ(first(u"one", InstanceFullInformation, buffer, &search), NO_MORE_ITEMS);
        CHECK(search == INVALID_HANDLE_VALUE);
        attach(u"E:", u"30", u"b");
        attach(u"D:", u"20.5", u"a");
        attach(u"D:", u"40", u"c");
        CHECK_EQ(FilterAttach(u"other", u"D:", nullptr, 0, nullptr), S_OK);

        REQUIRE(first(u"ONE", InstanceFullInformation, buffer, &search) == S_OK);
        const auto &full = buffer.as<INSTANCE_FULL_INFORMATION>();
        CHECK_EQ(full.NextEntryOffset, 0u);
        CHECK(buffer.name() == u"b");
        CHECK(buffer.text(full.AltitudeLength, full.AltitudeBufferOffset) == u"30");
        CHECK(buffer.text(full.VolumeNameLength, full.VolumeNameBufferOffset).starts_with(u"\\Device\\"));
        CHECK(buffer.text(full.FilterNameLength, full.FilterNameBufferOffset) == u"one");
        CHECK_EQ(buffer.returned, static_cast<DWORD>(full.FilterNameBufferOffset + full.FilterNameLength));
        CHECK_EQ(next(search, buffer), S_OK);
        CHECK(buffer.name() == u"a");
        CHECK_EQ(next(search, buffer), S_OK);
        CHECK(buffer.name() == u"c");
        CHECK_EQ(next(search, buffer), NO_MORE_ITEMS);
        attach(u"E:", u"50", u"d"); // found by who has come to the end
        CHECK_EQ(next(search, buffer), S_OK);
        CHECK(buffer.name() == u"d");
        CHECK_EQ(next(search, buffer), NO_MORE_ITEMS);
        CHECK_EQ(FilterInstanceFindClose(search), S_OK);
        CHECK_EQ(FilterInstanceFindClose(search), BAD_HANDLE);
        CHECK_EQ(next(search, buffer), BAD_HANDLE);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(instances_that_go_are_not_listed) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        Driver one(u"one", u"12.50");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        Buffer buffer;
        HANDLE search = nullptr;
        one.setup = [&] {
            HANDLE none = nullptr;
            Buffer inside;
            CHECK_EQ(first(u"one", InstanceFullInformation, inside, &none), NO_MORE_ITEMS); // not attached yet
            return STATUS_SUCCESS;
        };
        attach(u"D:", u"1", u"a");
        one.setup = {};
        attach(u"D:", u"2", u"b");
        attach(u"D:", u"3", u"c");
        one.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG) { // still there
            HANDLE during = nullptr;
            Buffer inside;
            CHECK_EQ(first(u"one", InstanceFullInformation, inside, &during), S_OK);
            CHECK(inside.name() == u"a");
            CHECK_EQ(next(during, inside), S_OK);
            CHECK(inside.name() == u"b");
            CHECK_EQ(FilterInstanceFindClose(during), S_OK);
        };
        REQUIRE(first(u"one", InstanceFullInformation, buffer, &search) == S_OK);
        CHECK(buffer.name() == u"a");
        CHECK_EQ(FilterDetach(u"one", u"D:", u"b"), S_OK);
        one.teardown_complete = {};
        CHECK_EQ(next(search, buffer), S_OK);
        CHECK(buffer.name() == u"c");
        CHECK_EQ(bench.unload(one), STATUS_SUCCESS); // an open search is in nobody's way
        CHECK_EQ(next(search, buffer), NO_MORE_ITEMS);
        CHECK_EQ(FilterInstanceFindClose(search), S_OK);
        CHECK_EQ(first(u"one", InstanceFullInformation, buffer, &search), FILTER_NOT_FOUND);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(every_class_of_instance_information) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        Driver one(u"one", u"12.50");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        bench.world.registry->set(Registry::service_key(u"one"), u"SupportedFeatures", uint32_t{7});
        attach(u"D:", u"20.5", u"on ntfs");
        attach(u"E:", u"30", u"on fat");
        Buffer buffer;
        HANDLE search = nullptr;
        REQUIRE(first(u"one", InstanceAggregateStandardInformation, buffer, &search) == S_OK);
        const auto &aggregate = buffer.as<INSTANCE_AGGREGATE_STANDARD_INFORMATION>();
        const auto &minifilter = aggregate.Type.MiniFilter;
        CHECK_EQ(aggregate.NextEntryOffset, 0u);
        CHECK_EQ(aggregate.Flags, static_cast<ULONG>(FLTFL_IASI_IS_MINIFILTER));
        CHECK_EQ(minifilter.Flags, 0u);
        CHECK_EQ(minifilter.FrameID, 0u);
        CHECK_EQ(minifilter.VolumeFileSystemType, FLT_FSTYPE_NTFS);
        CHECK_EQ(minifilter.SupportedFeatures, 7u);
        CHECK(buffer.text(minifilter.InstanceNameLength, minifilter.InstanceNameBufferOffset) == u"on ntfs");
        CHECK(buffer.text(minifilter.AltitudeLength, minifilter.AltitudeBufferOffset) == u"20.5");
        CHECK(buffer.text(minifilter.FilterNameLength, minifilter.FilterNameBufferOffset) == u"one");
        CHECK_EQ(next(search, buffer, InstanceAggregateStandardInformation), S_OK);
        CHECK_EQ(minifilter.VolumeFileSystemType, FLT_FSTYPE_FAT);
        CHECK_EQ(FilterInstanceFindClose(search), S_OK);

        REQUIRE(first(u"one", InstanceBasicInformation, buffer, &search) == S_OK);
        CHECK_EQ(buffer.returned, static_cast<DWORD>(sizeof(INSTANCE_BASIC_INFORMATION) + 7 * sizeof(WCHAR)));
        CHECK(buffer.name() == u"on ntfs");
        CHECK_EQ(next(search, buffer, InstancePartialInformation), S_OK);
        const auto &partial = buffer.as<INSTANCE_PARTIAL_INFORMATION>();
        CHECK_EQ(buffer.returned, static_cast<DWORD>(sizeof partial + 8 * sizeof(WCHAR)));
        CHECK(buffer.text(partial.AltitudeLength, partial.AltitudeBufferOffset) == u"30");
        CHECK_EQ(FilterInstanceFindClose(search), S_OK);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(searches_for_instances_that_fail) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        Driver one(u"one", u"12.50");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        attach(u"D:", u"1", u"a");
        attach(u"D:", u"2", u"longer");
        Buffer buffer;
        HANDLE search = nullptr;
        CHECK_EQ(first(u"nobody", InstanceFullInformation, buffer, &search), FILTER_NOT_FOUND);
        CHECK(search == INVALID_HANDLE_VALUE);
        CHECK_EQ(first(u"one", static_cast<INSTANCE_INFORMATION_CLASS>(9), buffer, &search), BAD_PARAMETER);
        CHECK_EQ(FilterInstanceFindFirst(nullptr, InstanceFullInformation, buffer.bytes, 1, &buffer.returned, &search),
                 BAD_PARAMETER);
        CHECK_EQ(FilterInstanceFindFirst(u"one", InstanceFullInformation, buffer.bytes, 1, nullptr, &search),
                 BAD_PARAMETER);
        CHECK_EQ(first(u"one", InstanceFullInformation, buffer, &search, 8), TOO_SMALL);
        CHECK(search == INVALID_HANDLE_VALUE);
        const DWORD needed = buffer.returned;
        CHECK_EQ(first(u"one", InstanceFullInformation, buffer, &search, needed - 1), TOO_SMALL);
        REQUIRE(first(u"one", InstanceFullInformation, buffer, &search, needed) == S_OK);
        CHECK_EQ(buffer.returned, needed);
        // The instance that did not fit comes again.
        CHECK_EQ(next(search, buffer, InstanceFullInformation, needed), TOO_SMALL);
        CHECK_EQ(next(search, buffer, InstanceFullInformation, buffer.returned), S_OK);
        CHECK(buffer.name() == u"longer");
        CHECK_EQ(next(search, buffer, static_cast<INSTANCE_INFORMATION_CLASS>(-1)), BAD_PARAMETER);
        CHECK_EQ(next(search, buffer), NO_MORE_ITEMS);
        const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        CHECK_EQ(next(event, buffer), BAD_HANDLE); // it is no search
        CHECK_EQ(CloseHandle(event), TRUE);
        CHECK_EQ(FilterInstanceFindClose(search), S_OK);
    });
    CHECK_EQ(rule_of(report), std::string());
}

} // namespace MINIPEND_TEST_FILE
