// SPDX-License-Identifier: MIT
//
// This module provides: tests of the user-side API where no world is needed: error mapping, last errors, calls without a world.

#include "spine.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

TEST(win32_errors_of_statuses) {
    const struct {
        NTSTATUS status;
        DWORD error;
    } expected[] = {
        {STATUS_SUCCESS, ERROR_SUCCESS},
        {STATUS_PENDING, ERROR_IO_PENDING},
        {STATUS_BUFFER_OVERFLOW, ERROR_MORE_DATA},
        {STATUS_NO_MORE_FILES, ERROR_NO_MORE_FILES},
        {STATUS_ACCESS_VIOLATION, ERROR_NOACCESS},
        {STATUS_DATATYPE_MISALIGNMENT, ERROR_NOACCESS},
        {STATUS_OBJECT_NAME_NOT_FOUND, ERROR_FILE_NOT_FOUND},
        {STATUS_OBJECT_NAME_COLLISION, ERROR_ALREADY_EXISTS},
        {STATUS_DELETE_PENDING, ERROR_ACCESS_DENIED},
        {STATUS_DISK_FULL, ERROR_DISK_FULL},
        {STATUS_CANCELLED, ERROR_OPERATION_ABORTED},
        {STATUS_PORT_DISCONNECTED, ERROR_INVALID_HANDLE},
        {STATUS_CONNECTION_COUNT_LIMIT, ERROR_CONNECTION_COUNT_LIMIT},
        {STATUS_IMAGE_ALREADY_LOADED, ERROR_SERVICE_ALREADY_RUNNING},
        {STATUS_TOO_MANY_LINKS, 1142u},
        {STATUS_IO_REPARSE_TAG_NOT_HANDLED, 1920u},
        {STATUS_IO_REPARSE_TAG_INVALID, 4393u},
        {STATUS_IO_REPARSE_TAG_MISMATCH, 4394u},
        {STATUS_IO_REPARSE_DATA_INVALID, 4392u},
        {STATUS_REPARSE_POINT_NOT_RESOLVED, 1921u},
        {STATUS_FLT_NOT_SAFE_TO_POST_OPERATION, ERROR_MR_MID_NOT_FOUND},
        {static_cast<NTSTATUS>(0xC0070057u), ERROR_INVALID_PARAMETER}, // carries a Win32 error
        {static_cast<NTSTATUS>(0xE0001234u), 0xE0001234u}, // a customer's own
        {static_cast<NTSTATUS>(0xC0FFFFFFu), ERROR_MR_MID_NOT_FOUND},
    };
    for (const auto &pair : expected) {
        CHECK_EQ(RtlNtStatusToDosError(pair.status), pair.error);
        CHECK_EQ(RtlGetLastNtStatus(), pair.status);
    }
}

TEST(last_error_is_per_thread) {
    SetLastError(5);
    std::thread([] {
        CHECK_EQ(GetLastError(), 0u);
        SetLastError(6);
    }).join();
    CHECK_EQ(GetLastError(), 5u);
}

TEST(names_need_a_world) {
    FltSimSelectWorld(0);
    CHECK(CreateFileW(u"D:\\x", GENERIC_READ, 0, nullptr, OPEN_EXISTING, 0, nullptr) == INVALID_HANDLE_VALUE);
    CHECK_EQ(GetLastError(), ERROR_NOT_READY);
    CHECK_EQ(FilterLoad(u"minipend"), HRESULT_FROM_WIN32(ERROR_NOT_READY));
    HANDLE port = nullptr;
    CHECK_EQ(FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &port),
             HRESULT_FROM_WIN32(ERROR_NOT_READY));
    CHECK(port == INVALID_HANDLE_VALUE);
    CHECK(CreateEventW(nullptr, TRUE, FALSE, nullptr) == nullptr);
    CHECK(GetCurrentThreadId() != 0);
    CHECK(GetCurrentProcessId() != 0);
}

TEST(handles_that_are_none) {
    for (const HANDLE handle : {HANDLE{nullptr}, INVALID_HANDLE_VALUE, reinterpret_cast<HANDLE>(0x7F000004)}) {
        SetLastError(0);
        CHECK(CloseHandle(handle) == FALSE);
        CHECK_EQ(GetLastError(), ERROR_INVALID_HANDLE);
    }
    DWORD returned = 0;
    char byte = 0;
    CHECK_EQ(FilterSendMessage(INVALID_HANDLE_VALUE, &byte, 1, nullptr, 0, &returned),
             HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE));
    CHECK(UnmapViewOfFile(&byte) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_INVALID_ADDRESS);
}

} // namespace MINIPEND_TEST_FILE
