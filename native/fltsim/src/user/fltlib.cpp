// SPDX-License-Identifier: MIT
//
// This module provides: the fltlib calls: load, unload, attach, detach, and the client side of communication ports [USR-02, USR-03, USR-05,
// HR-01].
//
// Each runs in the caller's simulated thread, so the driver's callbacks see the caller as the requestor. FilterSendMessage hands the caller's own
// memory on: what the driver must not trust stays untrusted [MSGN-01].

#include <algorithm>

#include "flt/filter_manager.hpp"
#include "user/event.hpp"
#include "user/path.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

HRESULT no_world() {
    return HRESULT_FROM_WIN32(ERROR_NOT_READY);
}
/// Of a call that did not come to its end: enter() says why.
HRESULT ended() {
    return HRESULT_FROM_WIN32(GetLastError());
}
HRESULT bad_argument() {
    return HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER);
}

/// Runs a call that names a filter in the selected world.
HRESULT with_filter_manager(const char *api, const std::function<NTSTATUS(World &)> &body) {
    const auto world = world_for_names();
    if (!world) {
        return no_world();
    }
    NTSTATUS status = STATUS_SUCCESS;
    if (!enter(world, api, [&](World &w) { status = body(w); })) {
        return ended();
    }
    return hresult(status);
}

/// lengthBytes includes the terminator; a longer name is cut, the instance is attached all the same.
void copy_name(const std::u16string &name, DWORD lengthBytes, LPWSTR buffer) {
    if (buffer == nullptr || lengthBytes < sizeof(WCHAR)) {
        return;
    }
    const size_t chars = std::min<size_t>(name.size(), lengthBytes / sizeof(WCHAR) - 1);
    std::copy_n(name.begin(), chars, buffer);
    buffer[chars] = u'\0';
}

HRESULT attach(const char *api, std::u16string_view filter, std::u16string_view volume_name,
               std::u16string_view instance, std::u16string_view altitude, DWORD name_bytes, LPWSTR name_buffer) {
    std::u16string created;
    const HRESULT answer = with_filter_manager(api, [&](World &w) -> NTSTATUS {
        io::Volume *volume = volume_by_user_name(*w.io, volume_name);
        return volume == nullptr ? STATUS_FLT_VOLUME_NOT_FOUND
                                 : w.flt->attach(filter, *volume, instance, altitude, &created);
    });
    if (answer == S_OK) {
        copy_name(created, name_bytes, name_buffer);
    }
    return answer;
}

} // namespace

FLTSIM_USER HRESULT FilterLoad(LPCWSTR lpFilterName) {
    if (lpFilterName == nullptr) {
        return bad_argument();
    }
    return with_filter_manager("NtLoadDriver", [&](World &w) { return w.flt->load(text(lpFilterName)); });
}

FLTSIM_USER HRESULT FilterUnload(LPCWSTR lpFilterName) {
    if (lpFilterName == nullptr) {
        return bad_argument();
    }
    return with_filter_manager("FilterUnload", [&](World &w) { return w.flt->unload(text(lpFilterName)); });
}

FLTSIM_USER HRESULT FilterAttach(LPCWSTR lpFilterName, LPCWSTR lpVolumeName, LPCWSTR lpInstanceName,
                                 DWORD dwCreatedInstanceNameLength, LPWSTR lpCreatedInstanceName) {
    if (lpFilterName == nullptr || lpVolumeName == nullptr) {
        return bad_argument();
    }
    return attach("FilterAttach", text(lpFilterName), text(lpVolumeName), text(lpInstanceName), u"",
                  dwCreatedInstanceNameLength, lpCreatedInstanceName);
}

FLTSIM_USER HRESULT FilterAttachAtAltitude(LPCWSTR lpFilterName, LPCWSTR lpVolumeName, LPCWSTR lpAltitude,
                                           LPCWSTR lpInstanceName, DWORD dwCreatedInstanceNameLength,
                                           LPWSTR lpCreatedInstanceName) {
    if (lpFilterName == nullptr || lpVolumeName == nullptr || text(lpAltitude).empty()) {
        return bad_argument();
    }
    return attach("FilterAttachAtAltitude", text(lpFilterName), text(lpVolumeName), text(lpInstanceName),
                  text(lpAltitude), dwCreatedInstanceNameLength, lpCreatedInstanceName);
}

FLTSIM_USER HRESULT FilterDetach(LPCWSTR lpFilterName, LPCWSTR lpVolumeName, LPCWSTR lpInstanceName) {
    if (lpFilterName == nullptr || lpVolumeName == nullptr) {
        return bad_argument();
    }
    return with_filter_manager("FilterDetach", [&](World &w) -> NTSTATUS {
        io::Volume *volume = volume_by_user_name(*w.io, text(lpVolumeName));
        return volume == nullptr ? STATUS_FLT_VOLUME_NOT_FOUND
                                 : w.flt->detach(text(lpFilterName), *volume, text(lpInstanceName));
    });
}

/// Security attributes are not looked at: a world's client is the administrator that the port's descriptor admits.
FLTSIM_USER HRESULT FilterConnectCommunicationPort(LPCWSTR lpPortName, DWORD dwOptions, LPCVOID lpContext,
                                                   WORD wSizeOfContext, LPSECURITY_ATTRIBUTES lpSecurityAttributes,
                                                   HANDLE *hPort) {
    if (hPort == nullptr) {
        return bad_argument();
    }
    *hPort = INVALID_HANDLE_VALUE;
    const bool context_agrees = (lpContext == nullptr) == (wSizeOfContext == 0);
    if (lpPortName == nullptr || !context_agrees || (dwOptions & ~FLT_PORT_FLAG_SYNC_HANDLE) != 0) {
        return bad_argument();
    }
    HANDLE handle = nullptr;
    const HRESULT answer = with_filter_manager("FilterConnectCommunicationPort", [&](World &w) {
        std::shared_ptr<Object> port;
        const NTSTATUS status = w.flt->connect_port(text(lpPortName), lpContext, wSizeOfContext, &port);
        if (NT_SUCCESS(status)) {
            handle = w.handles->insert(std::move(port));
        }
        return status;
    });
    if (answer == S_OK) {
        *hPort = handle;
    }
    return answer;
}

FLTSIM_USER HRESULT FilterSendMessage(HANDLE hPort, LPVOID lpInBuffer, DWORD dwInBufferSize, LPVOID lpOutBuffer,
                                      DWORD dwOutBufferSize, LPDWORD lpBytesReturned) {
    if (lpBytesReturned == nullptr || lpInBuffer == nullptr || (lpOutBuffer == nullptr && dwOutBufferSize != 0)) {
        return bad_argument();
    }
    const auto world = world_for_handle(hPort);
    if (!world) {
        return HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
    }
    NTSTATUS status = STATUS_SUCCESS;
    uint32_t returned = 0;
    const bool entered = enter(world, "FilterSendMessage", [&](World &w) {
        const auto port = w.handles->find(hPort);
        // Only a port takes messages; the Filter Manager tells which objects are ports.
        status = port ? w.flt->send_message(*port, lpInBuffer, dwInBufferSize, lpOutBuffer, dwOutBufferSize, &returned)
                      : STATUS_INVALID_HANDLE;
    });
    if (!entered) {
        return ended();
    }
    *lpBytesReturned = returned;
    return hresult(status);
}

namespace {

NTSTATUS get_message(World &w, Object &port, void *buffer, DWORD bytes, OVERLAPPED *overlapped) {
    std::shared_ptr<flt::MessageGet> get;
    if (overlapped == nullptr) {
        const NTSTATUS status = w.flt->get_message(port, buffer, bytes, nullptr, &get);
        if (status != STATUS_PENDING) {
            return status;
        }
        const auto done = [&] { return get->done; };
        wait_for(w, get.get(), done, std::nullopt);
        return get->status;
    }
    std::shared_ptr<Event> event;
    if (event_handle(*overlapped) != nullptr) {
        event = w.handles->find_as<Event>(event_handle(*overlapped));
        if (!event) {
            return STATUS_INVALID_HANDLE;
        }
        event->reset();
    }
    overlapped->Internal = static_cast<ULONG_PTR>(STATUS_PENDING);
    const io::AsyncBlock async{reinterpret_cast<IO_STATUS_BLOCK *>(overlapped), event, overlapped};
    return w.flt->get_message(port, buffer, bytes, &async, &get);
}

} // namespace

/// Without an OVERLAPPED it waits. With one it is always HRESULT_FROM_WIN32(ERROR_IO_PENDING), also when a message was there already; the OVERLAPPED tells
/// the end, its InternalHigh the bytes with the header. A message that does not fit ends the call with ERROR_INSUFFICIENT_BUFFER and stays
/// for the next one. ERROR_OPERATION_ABORTED: cancelled, or the handle was closed; ERROR_INVALID_HANDLE: the driver has disconnected.
FLTSIM_USER HRESULT FilterGetMessage(HANDLE hPort, PFILTER_MESSAGE_HEADER lpMessageBuffer, DWORD dwMessageBufferSize,
                                     LPOVERLAPPED lpOverlapped) {
    if (lpMessageBuffer == nullptr) {
        return bad_argument();
    }
    const auto world = world_for_handle(hPort);
    if (!world) {
        return HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, "FilterGetMessage", [&](World &w) {
        const auto port = w.handles->find(hPort);
        status =
            port ? get_message(w, *port, lpMessageBuffer, dwMessageBufferSize, lpOverlapped) : STATUS_INVALID_HANDLE;
    });
    if (!entered) {
        return ended();
    }
    return status == STATUS_PENDING ? HRESULT_FROM_WIN32(ERROR_IO_PENDING) : hresult(status);
}

/// One at a time, by the order of attachment. A buffer that is too small changes nothing: lpBytesReturned has the size that is needed, and there is
/// no search. HRESULT_FROM_WIN32(ERROR_NO_MORE_ITEMS): the filter has no instance.
FLTSIM_USER HRESULT FilterInstanceFindFirst(LPCWSTR lpFilterName, INSTANCE_INFORMATION_CLASS dwInformationClass,
                                            LPVOID lpBuffer, DWORD dwBufferSize, LPDWORD lpBytesReturned,
                                            LPHANDLE lpFilterInstanceFind) {
    if (lpFilterInstanceFind == nullptr) {
        return bad_argument();
    }
    *lpFilterInstanceFind = INVALID_HANDLE_VALUE;
    if (lpFilterName == nullptr || lpBytesReturned == nullptr) {
        return bad_argument();
    }
    HANDLE handle = INVALID_HANDLE_VALUE;
    uint32_t returned = 0;
    const HRESULT answer = with_filter_manager("FilterInstanceFindFirst", [&](World &w) {
        std::shared_ptr<Object> search;
        NTSTATUS status = w.flt->find_instances(text(lpFilterName), &search);
        if (NT_SUCCESS(status)) {
            status = w.flt->next_instance(*search, dwInformationClass, lpBuffer, dwBufferSize, &returned);
        }
        if (NT_SUCCESS(status)) {
            handle = w.handles->insert(std::move(search));
        }
        return status;
    });
    *lpBytesReturned = returned;
    *lpFilterInstanceFind = handle;
    return answer;
}

/// HRESULT_FROM_WIN32(ERROR_NO_MORE_ITEMS) at the end. After HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER) the same instance comes again.
FLTSIM_USER HRESULT FilterInstanceFindNext(HANDLE hFilterInstanceFind, INSTANCE_INFORMATION_CLASS dwInformationClass,
                                           LPVOID lpBuffer, DWORD dwBufferSize, LPDWORD lpBytesReturned) {
    if (lpBytesReturned == nullptr) {
        return bad_argument();
    }
    const auto world = world_for_handle(hFilterInstanceFind);
    if (!world) {
        return HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
    }
    NTSTATUS status = STATUS_SUCCESS;
    uint32_t returned = 0;
    const bool entered = enter(world, "FilterInstanceFindNext", [&](World &w) {
        const auto search = w.handles->find(hFilterInstanceFind);
        status = search ? w.flt->next_instance(*search, dwInformationClass, lpBuffer, dwBufferSize, &returned)
                        : STATUS_INVALID_HANDLE;
    });
    *lpBytesReturned = returned;
    return entered ? hresult(status) : ended();
}

FLTSIM_USER HRESULT FilterInstanceFindClose(HANDLE hFilterInstanceFind) {
    return CloseHandle(hFilterInstanceFind) ? S_OK : HRESULT_FROM_WIN32(GetLastError());
}
