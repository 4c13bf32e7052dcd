// SPDX-License-Identifier: MIT
//
// This module provides: tests of processes and their executables: how they are made, their names, handles of them, PsSetCreateProcessNotifyRoutineEx.

#include "flt/recorder.hpp"

#include "fltsim.h"
#include "ke/pool.hpp"
#include "user/process_start.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

constexpr auto TEXT_OF_CLIENT = "\\Device\\HarddiskVolume1\\Windows\\client.exe";
constexpr auto APP = "C:\\Apps\\Some long program.exe";

std::string &notes = *new std::string;
NTSTATUS verdict = STATUS_SUCCESS;
std::function<void(PEPROCESS, PPS_CREATE_NOTIFY_INFO)> &inside =
    *new std::function<void(PEPROCESS, PPS_CREATE_NOTIFY_INFO)>;

std::string narrow(PCUNICODE_STRING string) {
    if (string == nullptr) {
        return "null";
    }
    return {string->Buffer, string->Buffer + string->Length / sizeof(WCHAR)};
}

HANDLE handle_of(uint64_t id) {
    return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(id));
}

void note(const char *who, PEPROCESS process, HANDLE id, PPS_CREATE_NOTIFY_INFO info) {
    CHECK(PsGetProcessId(process) == id);
    CHECK(KeAreApcsDisabled() && !KeAreAllApcsDisabled());
    notes += std::string(who) + (info == nullptr ? "- " : "+ ");
    if (info != nullptr && verdict != STATUS_SUCCESS && std::string(who) == "one") {
        info->CreationStatus = verdict;
    }
    if (inside) {
        inside(process, info);
    }
}
void NTAPI one(PEPROCESS process, HANDLE id, PPS_CREATE_NOTIFY_INFO info) {
    note("one", process, id, info);
}
void NTAPI two(PEPROCESS process, HANDLE id, PPS_CREATE_NOTIFY_INFO info) {
    note("two", process, id, info);
}
void NTAPI plain(HANDLE, HANDLE, BOOLEAN create) {
    notes += create != FALSE ? "plain+ " : "plain- ";
}

std::string rule_in(const std::function<void(Bench &)> &fn) {
    notes.clear();
    inside = {};
    verdict = STATUS_SUCCESS;
    return rule_of(run_known(Executor::Fibers, fn));
}

struct Started {
    uint32_t id = 0;
    int32_t status = 0;
};
Started start(Bench &bench, const char *image, const char *line = nullptr) {
    Started made;
    CHECK_EQ(FltSimStartProcess(bench.world.number, image, line, &made.id, &made.status), 0);
    return made;
}
void end(Bench &bench, uint32_t id) {
    CHECK_EQ(FltSimTerminateProcess(bench.world.number, id), 0);
    CHECK_EQ(FltSimWaitForProcess(bench.world.number, id, 60'000), 1);
}
PEPROCESS process_of(uint32_t id) {
    PEPROCESS process = nullptr;
    CHECK_EQ(PsLookupProcessByProcessId(handle_of(id), &process), STATUS_SUCCESS);
    ObDereferenceObject(process);
    return process;
}
std::string located(PEPROCESS process) {
    PUNICODE_STRING name = nullptr;
    if (SeLocateProcessImageName(process, &name) != STATUS_SUCCESS || name == nullptr) {
        return "no name";
    }
    CHECK_EQ(name->Buffer[name->Length / sizeof(WCHAR)], u'\0');
    std::string text = narrow(name);
    ExFreePool(name);
    return text;
}
std::string short_name(PEPROCESS process) {
    return reinterpret_cast<const char *>(PsGetProcessImageFileName(process));
}

OBJECT_ATTRIBUTES kernel_attributes() {
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, nullptr, OBJ_KERNEL_HANDLE, nullptr, nullptr);
    return attributes;
}

} // namespace

TEST(processes_have_executables) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 CHECK_EQ(located(IoGetCurrentProcess()), std::string(TEXT_OF_CLIENT));
                 CHECK_EQ(short_name(IoGetCurrentProcess()), std::string("client.exe"));
                 const PEPROCESS system = process_of(4);
                 CHECK_EQ(located(system), std::string());
                 CHECK_EQ(short_name(system), std::string("System"));
                 uint32_t id = 0;
                 CHECK_EQ(FltSimCreateProcess(bench.world.number, &id), 0);
                 CHECK_EQ(located(process_of(id)), std::string(TEXT_OF_CLIENT));
                 const Started made = start(bench, APP);
                 CHECK_EQ(made.status, STATUS_SUCCESS);
                 CHECK_EQ(located(process_of(made.id)),
                          std::string("\\Device\\HarddiskVolume1\\Apps\\Some long program.exe"));
                 CHECK_EQ(short_name(process_of(made.id)), std::string("Some long prog"));
                 CHECK_EQ(FltSimSetProcessImage(bench.world.number, made.id, "\\SystemRoot\\other.exe"), 0);
                 CHECK_EQ(located(process_of(made.id)), std::string("\\Device\\HarddiskVolume1\\Windows\\other.exe"));
                 CHECK_EQ(FltSimSetProcessImage(bench.world.number, 0, "D:\\x.exe"), 0);
                 CHECK_EQ(located(IoGetCurrentProcess()), std::string("\\Device\\HarddiskVolume2\\x.exe"));
                 CHECK_EQ(FltSimSetProcessImage(bench.world.number, 0, "Q:\\x.exe"), -1);
                 CHECK_EQ(FltSimSetProcessImage(bench.world.number, 77, "D:\\x.exe"), -1);
                 end(bench, made.id);
             }),
             std::string());
}

TEST(a_process_cannot_be_made_of_anything) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 CHECK_EQ(start(bench, "Q:\\x.exe").status, STATUS_OBJECT_PATH_NOT_FOUND);
                 CHECK_EQ(start(bench, "C:\\Windows").status, STATUS_OBJECT_PATH_NOT_FOUND);
                 {
                     const KernelCall call("test", PASSIVE_LEVEL);
                     std::shared_ptr<io::FileObject> file;
                     ULONG_PTR information = 0;
                     IO_STATUS_BLOCK iosb{};
                     REQUIRE(bench.world.io->create(u"\\??\\C:\\text.exe", FILE_WRITE_DATA | SYNCHRONIZE, 0, 0,
                                                    FILE_CREATE, FILE_SYNCHRONOUS_IO_NONALERT, UserMode, &file,
                                                    &information) == STATUS_SUCCESS);
                     const int64_t start_of_file = 0;
                     CHECK_EQ(bench.world.io->write(*file, "no image", 8, &start_of_file, nullptr, &iosb),
                              STATUS_SUCCESS);
                     bench.world.handles->close(bench.world.handles->insert(file));
                 }
                 const Started made = start(bench, "C:\\text.exe");
                 CHECK_EQ(made.status, static_cast<NTSTATUS>(0xC000012F)); // STATUS_INVALID_IMAGE_NOT_MZ
                 CHECK_EQ(made.id, 0u);
             }),
             std::string());
}

TEST(routines_are_told_of_executables) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, FALSE), STATUS_SUCCESS);
                 uint32_t told = 0;
                 inside = [&](PEPROCESS process, PPS_CREATE_NOTIFY_INFO info) {
                     CHECK_EQ(located(process), std::string("\\Device\\HarddiskVolume1\\Apps\\Some long program.exe"));
                     if (info == nullptr) {
                         CHECK(IoGetCurrentProcess() == process);
                         return;
                     }
                     ++told;
                     CHECK_EQ(info->Size, sizeof *info);
                     CHECK_EQ(info->Flags, 1u); // FileOpenNameAvailable
                     CHECK_EQ(narrow(info->ImageFileName), std::string("\\??\\C:\\Apps\\Some long program.exe"));
                     CHECK_EQ(narrow(info->CommandLine),
                              told == 1 ? std::string("program /x") : "\"" + std::string(APP) + "\"");
                     CHECK(info->ParentProcessId == PsGetCurrentProcessId());
                     CHECK(info->CreatingThreadId.UniqueProcess == PsGetCurrentProcessId());
                     CHECK(info->CreatingThreadId.UniqueThread == PsGetCurrentThreadId());
                     CHECK_EQ(info->CreationStatus, STATUS_SUCCESS);
                     REQUIRE(info->FileObject != nullptr);
                     CHECK_EQ(narrow(&info->FileObject->FileName), std::string("\\Apps\\Some long program.exe"));
                     CHECK(info->FileObject->SectionObjectPointer->ImageSectionObject != nullptr);
                     ObfReferenceObject(info->FileObject);
                     ObfDereferenceObject(info->FileObject);
                 };
                 const Started first = start(bench, APP, "program /x");
                 const Started other = start(bench, APP);
                 end(bench, first.id);
                 end(bench, other.id);
                 CHECK_EQ(notes, std::string("one+ one+ one- one- "));
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, TRUE), STATUS_SUCCESS);
                 end(bench, start(bench, APP).id);
                 CHECK_EQ(told, 2u);
             }),
             std::string());
}

TEST(an_executable_is_told_of_without_its_name_too) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, FALSE), STATUS_SUCCESS);
                 bool told = false;
                 inside = [&](PEPROCESS, PPS_CREATE_NOTIFY_INFO info) {
                     REQUIRE(info != nullptr && info->FileObject != nullptr);
                     told = true;
                 };
                 uint32_t id = 0;
                 CHECK_EQ(FltSimCreateProcess(bench.world.number, &id), 0);
                 CHECK(told);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, TRUE), STATUS_SUCCESS);
             }),
             std::string());
}

TEST(a_routine_turns_a_process_down) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, FALSE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(two, FALSE), STATUS_SUCCESS);
                 verdict = STATUS_ACCESS_DENIED;
                 const Started made = start(bench, APP);
                 CHECK_EQ(made.status, STATUS_ACCESS_DENIED);
                 CHECK_EQ(FltSimWaitForProcess(bench.world.number, made.id, 60'000), 1);
                 CHECK_EQ(notes, std::string("one+ two+ one- two- "));
                 uint32_t id = 0;
                 CHECK_EQ(FltSimCreateProcess(bench.world.number, &id), -1);
                 CHECK_EQ(FltSimWaitForProcess(bench.world.number, id, 60'000), 1);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, TRUE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(two, TRUE), STATUS_SUCCESS);
             }),
             std::string());
}

TEST(routines_of_all_kinds_share_a_list) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 const auto subsystems = [](auto routine, BOOLEAN remove) {
                     return PsSetCreateProcessNotifyRoutineEx2(PsCreateProcessNotifySubsystems,
                                                               reinterpret_cast<PVOID>(routine), remove);
                 };
                 CHECK_EQ(subsystems(two, FALSE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(plain, FALSE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, FALSE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, FALSE), STATUS_INVALID_PARAMETER);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(two, FALSE), STATUS_INVALID_PARAMETER);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx2(static_cast<PSCREATEPROCESSNOTIFYTYPE>(1),
                                                             reinterpret_cast<PVOID>(one), FALSE),
                          STATUS_INVALID_PARAMETER);
                 end(bench, start(bench, APP).id);
                 CHECK_EQ(notes, std::string("two+ plain+ one+ two- plain- one- "));
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(two, TRUE), STATUS_PROCEDURE_NOT_FOUND);
                 CHECK_EQ(subsystems(one, TRUE), STATUS_PROCEDURE_NOT_FOUND);
                 CHECK_EQ(subsystems(two, TRUE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, TRUE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(plain, TRUE), STATUS_SUCCESS);
                 for (const char *api : {"PsSetCreateProcessNotifyRoutineEx:STATUS_ACCESS_DENIED",
                                         "PsSetCreateProcessNotifyRoutineEx2:STATUS_ACCESS_DENIED"}) {
                     CHECK_EQ(FltSimSetFault(bench.world.number, api, 0, 1), 0);
                 }
                 CHECK_EQ(PsSetCreateProcessNotifyRoutineEx(one, FALSE), STATUS_ACCESS_DENIED);
                 CHECK_EQ(subsystems(one, FALSE), STATUS_ACCESS_DENIED);
             }),
             std::string());
}

TEST(an_executable_is_kept_while_its_process_runs) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 const Started made = start(bench, APP);
                 const auto open_to_delete = [&] {
                     const KernelCall call("test", PASSIVE_LEVEL);
                     std::shared_ptr<io::FileObject> file;
                     ULONG_PTR information = 0;
                     const NTSTATUS status =
                         bench.world.io->create(u"\\??\\C:\\Apps\\Some long program.exe", FILE_WRITE_DATA | SYNCHRONIZE,
                                                0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, FILE_OPEN,
                                                FILE_SYNCHRONOUS_IO_NONALERT, UserMode, &file, &information);
                     if (NT_SUCCESS(status)) {
                         bench.world.handles->close(bench.world.handles->insert(file));
                     }
                     return status;
                 };
                 CHECK_EQ(open_to_delete(), STATUS_SHARING_VIOLATION);
                 end(bench, made.id);
                 CHECK_EQ(open_to_delete(), STATUS_SUCCESS);
             }),
             std::string());
}

TEST(names_of_executables_by_handle) {
    CHECK_EQ(
        rule_in([](Bench &bench) {
            HANDLE handle = nullptr;
            CHECK_EQ(ObOpenObjectByPointer(IoGetCurrentProcess(), OBJ_KERNEL_HANDLE, nullptr, 0, nullptr, KernelMode,
                                           &handle),
                     STATUS_SUCCESS);
            ULONG needed = 0;
            CHECK_EQ(ZwQueryInformationProcess(handle, ProcessImageFileName, nullptr, 0, &needed),
                     STATUS_INFO_LENGTH_MISMATCH);
            const std::string name = TEXT_OF_CLIENT;
            CHECK_EQ(needed, sizeof(UNICODE_STRING) + 2 * (name.size() + 1));
            std::vector<uint64_t> buffer(needed / 8 + 1);
            CHECK_EQ(ZwQueryInformationProcess(handle, ProcessImageFileName, buffer.data(), needed - 1, nullptr),
                     STATUS_INFO_LENGTH_MISMATCH);
            CHECK_EQ(ZwQueryInformationProcess(handle, ProcessImageFileName, buffer.data(), needed, &needed),
                     STATUS_SUCCESS);
            CHECK_EQ(narrow(reinterpret_cast<PUNICODE_STRING>(buffer.data())), name);
            CHECK_EQ(
                ZwQueryInformationProcess(NtCurrentProcess(), ProcessImageFileName, buffer.data(), needed, nullptr),
                STATUS_SUCCESS);
            PVOID object = nullptr;
            CHECK_EQ(ObReferenceObjectByHandle(handle, 0, *PsProcessType, KernelMode, &object, nullptr),
                     STATUS_SUCCESS);
            CHECK(object == IoGetCurrentProcess());
            CHECK_EQ(ObReferenceObjectByHandle(handle, 0, *PsThreadType, KernelMode, &object, nullptr),
                     STATUS_OBJECT_TYPE_MISMATCH);
            CHECK_EQ(ObReferenceObjectByHandle(NtCurrentProcess(), 0, *PsProcessType, KernelMode, &object, nullptr),
                     STATUS_SUCCESS);
            CHECK(object == IoGetCurrentProcess());
            CHECK_EQ(ObReferenceObjectByHandle(NtCurrentProcess(), 0, *IoFileObjectType, KernelMode, &object, nullptr),
                     STATUS_OBJECT_TYPE_MISMATCH);
            CHECK_EQ(ObReferenceObjectByPointer(IoGetCurrentProcess(), 0, *PsProcessType, KernelMode), STATUS_SUCCESS);
            CHECK_EQ(ObReferenceObjectByPointer(IoGetCurrentProcess(), 0, *PsThreadType, KernelMode),
                     STATUS_OBJECT_TYPE_MISMATCH);
            CHECK_EQ(ZwClose(handle), STATUS_SUCCESS);
            CHECK_EQ(ZwQueryInformationProcess(handle, ProcessImageFileName, nullptr, 0, nullptr),
                     STATUS_INVALID_HANDLE);
            CHECK_EQ(FltSimSetFault(bench.world.number, "ZwQueryInformationProcess", 0, 1), 0);
            CHECK_EQ(
                ZwQueryInformationProcess(NtCurrentProcess(), ProcessImageFileName, buffer.data(), needed, nullptr),
                STATUS_ACCESS_DENIED);
            CHECK_EQ(FltSimSetFault(bench.world.number, "SeLocateProcessImageName", 0, 1), 0);
            PUNICODE_STRING none = nullptr;
            CHECK_EQ(SeLocateProcessImageName(IoGetCurrentProcess(), &none), STATUS_INSUFFICIENT_RESOURCES);
            CHECK(none == nullptr);
        }),
        std::string());
}

TEST(handles_of_processes_threads_and_files) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 OBJECT_ATTRIBUTES attributes = kernel_attributes();
                 CLIENT_ID client{handle_of(4), nullptr};
                 HANDLE handle = nullptr;
                 CHECK_EQ(ZwOpenProcess(&handle, PROCESS_ALL_ACCESS, &attributes, &client), STATUS_SUCCESS);
                 PVOID object = nullptr;
                 CHECK_EQ(ObReferenceObjectByHandle(handle, 0, *PsProcessType, KernelMode, &object, nullptr),
                          STATUS_SUCCESS);
                 CHECK(PsGetProcessId(static_cast<PEPROCESS>(object)) == handle_of(4));
                 CHECK_EQ(ZwClose(handle), STATUS_SUCCESS);
                 CHECK_EQ(ZwOpenProcess(&handle, 0, &attributes, nullptr), STATUS_INVALID_PARAMETER_MIX);
                 UNICODE_STRING name{};
                 attributes.ObjectName = &name;
                 CHECK_EQ(ZwOpenProcess(&handle, 0, &attributes, &client), STATUS_INVALID_PARAMETER_MIX);
                 attributes.ObjectName = nullptr;
                 client.UniqueProcess = handle_of(0xFFFFFF0);
                 CHECK_EQ(ZwOpenProcess(&handle, 0, &attributes, &client), STATUS_INVALID_CID);
                 client.UniqueProcess = handle_of(4);
                 CHECK_EQ(FltSimSetFault(bench.world.number, "ZwOpenProcess", 0, 1), 0);
                 CHECK_EQ(ZwOpenProcess(&handle, 0, &attributes, &client), STATUS_ACCESS_DENIED);

                 CHECK_EQ(ObOpenObjectByPointer(PsGetCurrentThread(), OBJ_KERNEL_HANDLE, nullptr, 0, *PsThreadType,
                                                KernelMode, &handle),
                          STATUS_SUCCESS);
                 CHECK_EQ(ObReferenceObjectByHandle(handle, 0, *PsThreadType, KernelMode, &object, nullptr),
                          STATUS_SUCCESS);
                 CHECK(object == PsGetCurrentThread());
                 ObDereferenceObject(object);
                 CHECK_EQ(ZwClose(handle), STATUS_SUCCESS);
                 CHECK_EQ(ObOpenObjectByPointer(&bench.file->native, OBJ_KERNEL_HANDLE, nullptr, 0, *PsProcessType,
                                                KernelMode, &handle),
                          STATUS_OBJECT_TYPE_MISMATCH);
                 CHECK(handle == nullptr);
                 CHECK_EQ(FltSimSetFault(bench.world.number, "ObOpenObjectByPointer", 0, 1), 0);
                 CHECK_EQ(ObOpenObjectByPointer(IoGetCurrentProcess(), OBJ_KERNEL_HANDLE, nullptr, 0, nullptr,
                                                KernelMode, &handle),
                          STATUS_ACCESS_DENIED);
             }),
             std::string());
}

TEST(mistakes_with_processes) {
    CHECK_EQ(rule_in([](Bench &) {
                 HANDLE handle = nullptr;
                 ObOpenObjectByPointer(IoGetCurrentProcess(), 0, nullptr, 0, nullptr, KernelMode, &handle);
             }),
             std::string("V24 handle for a stranger"));
    CHECK_EQ(rule_in([](Bench &) {
                 OBJECT_ATTRIBUTES attributes;
                 InitializeObjectAttributes(&attributes, nullptr, 0, nullptr, nullptr);
                 CLIENT_ID client{handle_of(4), nullptr};
                 HANDLE handle = nullptr;
                 ZwOpenProcess(&handle, 0, &attributes, &client);
             }),
             std::string("V24 handle for a stranger"));
    CHECK_EQ(rule_in([](Bench &bench) {
                 PUNICODE_STRING name = nullptr;
                 SeLocateProcessImageName(reinterpret_cast<PEPROCESS>(&bench), &name);
             }),
             std::string("OBJECT is not a process"));
    CHECK_EQ(rule_in([](Bench &bench) { PsGetProcessImageFileName(reinterpret_cast<PEPROCESS>(&bench)); }),
             std::string("OBJECT is not a process"));
    CHECK_EQ(rule_in([](Bench &) {
                 ULONG64 buffer = 0;
                 ZwQueryInformationProcess(NtCurrentProcess(), ProcessDebugPort, &buffer, sizeof buffer, nullptr);
             }),
             std::string("UNMODELLED"));
    CHECK_EQ(rule_in([](Bench &bench) {
                 PsSetCreateProcessNotifyRoutineEx(one, FALSE);
                 inside = [](PEPROCESS, PPS_CREATE_NOTIFY_INFO) { PsSetCreateProcessNotifyRoutineEx(one, TRUE); };
                 start(bench, APP);
             }),
             std::string("PROCESS NOTIFY changed by a routine"));
    CHECK_EQ(rule_in([](Bench &bench) {
                 Driver driver(u"one");
                 REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
                 PsSetCreateProcessNotifyRoutineEx(one, FALSE);
                 bench.unload(driver);
             }),
             std::string("PROCESS NOTIFY routine left"));
    CHECK_EQ(rule_in([](Bench &) {
                 const IrqlScope raised(APC_LEVEL);
                 PUNICODE_STRING name = nullptr;
                 SeLocateProcessImageName(IoGetCurrentProcess(), &name);
             }),
             std::string("V5 IRQL too high"));
    inside = {};
}

} // namespace MINIPEND_TEST_FILE
