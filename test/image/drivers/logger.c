// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter that keeps a log in a file: its system thread writes a line for every few creates, through the whole filter stack and
// so through itself too. When it goes it reads the log again, finds it in its directory, renames it and deletes it, and says whether all of that
// fits together. With GUARDED the thread writes in a guarded region. For `minipend host`.

#include <fltkernel.h>

DRIVER_INITIALIZE FxDriverEntry;

#define TAG 'ggoL'
#define COMPONENT 77 ///< DPFLTR_IHVDRIVER_ID
#define LINE_EVERY 8
#define BUFFER_BYTES 4096

static const UNICODE_STRING LogName = RTL_CONSTANT_STRING(L"\\??\\C:\\Windows\\logger.log");
static const UNICODE_STRING LogDirectory = RTL_CONSTANT_STRING(L"\\SystemRoot");
static const UNICODE_STRING LogPattern = RTL_CONSTANT_STRING(L"LOGGER.*");
static const UNICODE_STRING OldLogName = RTL_CONSTANT_STRING(L"\\??\\C:\\Windows\\logger.old");
static const CHAR Line[] = "eight creates\r\n";

static PFLT_FILTER Filter;
static PVOID Thread;
static KEVENT Wake;
static volatile LONG Stopping;
static volatile LONG Creates;
static volatile LONG OwnCreates;
static LONG Lines; ///< of the thread, and of the unload when it has ended

static NTSTATUS Open(_In_ PCUNICODE_STRING Name, _In_ ACCESS_MASK Access, _In_ ULONG Disposition, _In_ ULONG Options,
                     _Out_ PHANDLE Handle) {
    OBJECT_ATTRIBUTES Attributes;
    IO_STATUS_BLOCK IoStatus;

    InitializeObjectAttributes(&Attributes, (PUNICODE_STRING)Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL,
                               NULL);
    return ZwCreateFile(Handle, Access, &Attributes, &IoStatus, NULL, FILE_ATTRIBUTE_NORMAL,
                        FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, Disposition, Options, NULL, 0);
}

/// The log's lines at its end, one for every few creates.
static NTSTATUS WriteLines(_In_ HANDLE Log) {
    IO_STATUS_BLOCK IoStatus;
    NTSTATUS Status = STATUS_SUCCESS;

    while (NT_SUCCESS(Status) && Lines < Creates / LINE_EVERY) {
#ifdef GUARDED
        KeEnterGuardedRegion();
#endif
        Status = ZwWriteFile(Log, NULL, NULL, NULL, &IoStatus, (PVOID)Line, sizeof(Line) - 1, NULL, NULL);
#ifdef GUARDED
        KeLeaveGuardedRegion();
#endif
        if (NT_SUCCESS(Status) && IoStatus.Information == sizeof(Line) - 1) {
            Lines++;
        }
    }
    return Status;
}

static void NTAPI Writer(_In_ PVOID Context) {
    HANDLE Log = NULL;
    IO_STATUS_BLOCK IoStatus;
    NTSTATUS Status =
        Open(&LogName, FILE_APPEND_DATA | SYNCHRONIZE, FILE_OVERWRITE_IF, FILE_SYNCHRONOUS_IO_NONALERT, &Log);

    UNREFERENCED_PARAMETER(Context);
    while (NT_SUCCESS(Status) && Stopping == 0) {
        KeWaitForSingleObject(&Wake, Executive, KernelMode, FALSE, NULL);
        Status = WriteLines(Log);
    }
    if (Log != NULL) {
        (VOID) ZwFlushBuffersFile(Log, &IoStatus);
        (VOID) ZwClose(Log);
    }
}

/// Reads the log, which has to be nothing but its lines, by an asynchronous handle. How many there are, or -1.
static LONG CountLines(_In_ PCHAR Buffer) {
    OBJECT_ATTRIBUTES Attributes;
    IO_STATUS_BLOCK IoStatus;
    LARGE_INTEGER Offset;
    HANDLE Log = NULL;
    HANDLE Done = NULL;
    LONG Found = 0;
    NTSTATUS Status = Open(&LogName, FILE_READ_DATA, FILE_OPEN, 0, &Log);

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (NT_SUCCESS(Status)) {
        Status = ZwCreateEvent(&Done, EVENT_ALL_ACCESS, &Attributes, SynchronizationEvent, FALSE);
    }
    Offset.QuadPart = 0;
    while (NT_SUCCESS(Status)) {
        Status = ZwReadFile(Log, Done, NULL, NULL, &IoStatus, Buffer, sizeof(Line) - 1, &Offset, NULL);
        if (Status == STATUS_PENDING) {
            (VOID) ZwWaitForSingleObject(Done, FALSE, NULL);
            Status = IoStatus.Status;
        }
        if (NT_SUCCESS(Status)) {
            if (IoStatus.Information != sizeof(Line) - 1 || !RtlEqualMemory(Buffer, Line, sizeof(Line) - 1)) {
                Status = STATUS_FILE_CORRUPT_ERROR;
            }
            Offset.QuadPart += sizeof(Line) - 1;
            Found++;
        }
    }
    if (Done != NULL) {
        (VOID) ZwClose(Done);
    }
    if (Log != NULL) {
        (VOID) ZwClose(Log);
    }
    return Status == STATUS_END_OF_FILE ? Found : -1;
}

/// Whether directory and volume know the log, and of what size.
static BOOLEAN IsListed(_In_ PCHAR Buffer, _In_ LONGLONG Size) {
    PFILE_DIRECTORY_INFORMATION Entry = (PFILE_DIRECTORY_INFORMATION)Buffer;
    PFILE_FS_ATTRIBUTE_INFORMATION Volume = (PFILE_FS_ATTRIBUTE_INFORMATION)Buffer;
    IO_STATUS_BLOCK IoStatus;
    HANDLE Directory = NULL;
    BOOLEAN Listed = FALSE;
    const ULONG Options = FILE_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT;

    if (!NT_SUCCESS(Open(&LogDirectory, FILE_LIST_DIRECTORY | SYNCHRONIZE, FILE_OPEN, Options, &Directory))) {
        return FALSE;
    }
    if (NT_SUCCESS(ZwQueryDirectoryFile(Directory, NULL, NULL, NULL, &IoStatus, Buffer, BUFFER_BYTES,
                                        FileDirectoryInformation, TRUE, (PUNICODE_STRING)&LogPattern, TRUE))) {
        Listed = Entry->EndOfFile.QuadPart == Size;
    }
    if (ZwQueryDirectoryFile(Directory, NULL, NULL, NULL, &IoStatus, Buffer, BUFFER_BYTES, FileDirectoryInformation,
                             TRUE, NULL, FALSE) != STATUS_NO_MORE_FILES) {
        Listed = FALSE;
    }
    if (!NT_SUCCESS(
            ZwQueryVolumeInformationFile(Directory, &IoStatus, Buffer, BUFFER_BYTES, FileFsAttributeInformation)) ||
        Volume->MaximumComponentNameLength != 255) {
        Listed = FALSE;
    }
    (VOID) ZwClose(Directory);
    return Listed;
}

static NTSTATUS RenameLog(_In_ PCHAR Buffer) {
    PFILE_RENAME_INFORMATION Rename = (PFILE_RENAME_INFORMATION)Buffer;
    IO_STATUS_BLOCK IoStatus;
    HANDLE Log = NULL;
    NTSTATUS Status = Open(&LogName, DELETE | SYNCHRONIZE, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, &Log);

    if (NT_SUCCESS(Status)) {
        RtlZeroMemory(Rename, sizeof(*Rename));
        Rename->ReplaceIfExists = TRUE;
        Rename->FileNameLength = OldLogName.Length;
        RtlCopyMemory(Rename->FileName, OldLogName.Buffer, OldLogName.Length);
        Status = ZwSetInformationFile(Log, &IoStatus, Rename, BUFFER_BYTES, FileRenameInformation);
        (VOID) ZwClose(Log);
    }
    return Status;
}

static LONGLONG SizeOf(_In_ PCUNICODE_STRING Name) {
    FILE_STANDARD_INFORMATION Standard;
    IO_STATUS_BLOCK IoStatus;
    HANDLE Log = NULL;

    Standard.EndOfFile.QuadPart = -1;
    if (NT_SUCCESS(Open(Name, FILE_READ_ATTRIBUTES | SYNCHRONIZE, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, &Log))) {
        (VOID) ZwQueryInformationFile(Log, &IoStatus, &Standard, sizeof(Standard), FileStandardInformation);
        (VOID) ZwClose(Log);
    }
    return Standard.EndOfFile.QuadPart;
}

static void CheckLog(VOID) {
    PCHAR Buffer = ExAllocatePoolWithTag(NonPagedPoolNx, BUFFER_BYTES, TAG);
    OBJECT_ATTRIBUTES Attributes;
    const LONGLONG Size = (LONGLONG)Lines * (LONGLONG)(sizeof(Line) - 1);
    const char *Wrong = NULL;

    if (Buffer == NULL) {
        return;
    }
    InitializeObjectAttributes(&Attributes, (PUNICODE_STRING)&OldLogName, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (CountLines(Buffer) != Lines) {
        Wrong = "its lines";
    } else if (!IsListed(Buffer, Size)) {
        Wrong = "its entry";
    } else if (!NT_SUCCESS(RenameLog(Buffer)) || SizeOf(&OldLogName) != Size || SizeOf(&LogName) != -1) {
        Wrong = "its new name";
    } else if (!NT_SUCCESS(ZwDeleteFile(&Attributes)) || SizeOf(&OldLogName) != -1) {
        Wrong = "its end";
    }
    DbgPrintEx(COMPONENT, 0, "logger: %d lines, wrong: %s, own creates: %d\n", Lines, Wrong == NULL ? "nothing" : Wrong,
               OwnCreates);
    ExFreePoolWithTag(Buffer, TAG);
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                  _Outptr_result_maybenull_ PVOID *Context) {
    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    if (Data->RequestorMode == KernelMode) { // its own, among others
        InterlockedIncrement(&OwnCreates);
    } else if (InterlockedIncrement(&Creates) % LINE_EVERY == 0) {
        (VOID) KeSetEvent(&Wake, 0, FALSE);
    }
    return FLT_PREOP_SUCCESS_NO_CALLBACK;
}

static void StopWriter(VOID) {
    InterlockedIncrement(&Stopping);
    (VOID) KeSetEvent(&Wake, 0, FALSE);
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObfDereferenceObject(Thread);
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    StopWriter();
    CheckLog();
    FltUnregisterFilter(Filter);
    return STATUS_SUCCESS;
}

static NTSTATUS FLTAPI InstanceSetup(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ FLT_INSTANCE_SETUP_FLAGS Flags,
                                     _In_ DEVICE_TYPE DeviceType, _In_ FLT_FILESYSTEM_TYPE FileSystem) {
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Flags);
    UNREFERENCED_PARAMETER(DeviceType);
    UNREFERENCED_PARAMETER(FileSystem);
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_CREATE, 0, PreCreate, NULL, NULL},
    {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL},
};

static const FLT_REGISTRATION Registration = {
    .Size = sizeof(FLT_REGISTRATION),
    .Version = FLT_REGISTRATION_VERSION,
    .OperationRegistration = Operations,
    .FilterUnloadCallback = Unload,
    .InstanceSetupCallback = InstanceSetup,
};

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    HANDLE Handle = NULL;
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(RegistryPath);
    KeInitializeEvent(&Wake, SynchronizationEvent, FALSE);
    Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Writer, NULL);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    (VOID) ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Thread, NULL);
    (VOID) ZwClose(Handle);
    Status = FltRegisterFilter(DriverObject, &Registration, &Filter);
    if (NT_SUCCESS(Status)) {
        Status = FltStartFiltering(Filter);
        if (!NT_SUCCESS(Status)) {
            FltUnregisterFilter(Filter);
        }
    }
    if (!NT_SUCCESS(Status)) {
        StopWriter();
    }
    return Status;
}
