// SPDX-License-Identifier: MIT
//
// This module provides: the Filter Manager's calls for I/O that a filter begins itself.

#pragma once

#include "fltkernel_types.h"

EXTERN_C_START

// ---- callback data of its own

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltAllocateCallbackData(_In_ PFLT_INSTANCE Instance, _In_opt_ PFILE_OBJECT FileObject,
                                        _Out_ PFLT_CALLBACK_DATA *RetNewCallbackData);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltAllocateCallbackDataEx(_In_ PFLT_INSTANCE Instance, _In_opt_ PFILE_OBJECT FileObject,
                                          _In_ FLT_ALLOCATE_CALLBACK_DATA_FLAGS Flags,
                                          _Out_ PFLT_CALLBACK_DATA *RetNewCallbackData);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltFreeCallbackData(_In_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= APC_LEVEL.
void FLTAPI FltReuseCallbackData(_Inout_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= APC_LEVEL.
void FLTAPI FltPerformSynchronousIo(_Inout_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= PASSIVE_LEVEL, of paging I/O <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltPerformAsynchronousIo(_Inout_ PFLT_CALLBACK_DATA CallbackData,
                                         _In_ PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine,
                                         _In_ PVOID CallbackContext);

// ---- files

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltCreateFile(_In_ PFLT_FILTER Filter, _In_opt_ PFLT_INSTANCE Instance, _Out_ PHANDLE FileHandle,
                              _In_ ACCESS_MASK DesiredAccess, _In_ POBJECT_ATTRIBUTES ObjectAttributes,
                              _Out_ PIO_STATUS_BLOCK IoStatusBlock, _In_opt_ PLARGE_INTEGER AllocationSize,
                              _In_ ULONG FileAttributes, _In_ ULONG ShareAccess, _In_ ULONG CreateDisposition,
                              _In_ ULONG CreateOptions, _In_opt_ PVOID EaBuffer, _In_ ULONG EaLength, _In_ ULONG Flags);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltCreateFileEx(_In_ PFLT_FILTER Filter, _In_opt_ PFLT_INSTANCE Instance, _Out_ PHANDLE FileHandle,
                                _Out_opt_ PFILE_OBJECT *FileObject, _In_ ACCESS_MASK DesiredAccess,
                                _In_ POBJECT_ATTRIBUTES ObjectAttributes, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                                _In_opt_ PLARGE_INTEGER AllocationSize, _In_ ULONG FileAttributes,
                                _In_ ULONG ShareAccess, _In_ ULONG CreateDisposition, _In_ ULONG CreateOptions,
                                _In_opt_ PVOID EaBuffer, _In_ ULONG EaLength, _In_ ULONG Flags);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltCreateFileEx2(_In_ PFLT_FILTER Filter, _In_opt_ PFLT_INSTANCE Instance, _Out_ PHANDLE FileHandle,
                                 _Out_opt_ PFILE_OBJECT *FileObject, _In_ ACCESS_MASK DesiredAccess,
                                 _In_ POBJECT_ATTRIBUTES ObjectAttributes, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                                 _In_opt_ PLARGE_INTEGER AllocationSize, _In_ ULONG FileAttributes,
                                 _In_ ULONG ShareAccess, _In_ ULONG CreateDisposition, _In_ ULONG CreateOptions,
                                 _In_opt_ PVOID EaBuffer, _In_ ULONG EaLength, _In_ ULONG Flags,
                                 _In_opt_ PIO_DRIVER_CREATE_CONTEXT DriverContext);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS FLTAPI FltClose(_In_ HANDLE FileHandle);

// ---- data

// Reads and writes: IRQL <= PASSIVE_LEVEL, of paging I/O <= APC_LEVEL.

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltReadFile(_In_ PFLT_INSTANCE InitiatingInstance, _In_ PFILE_OBJECT FileObject,
                            _In_opt_ PLARGE_INTEGER ByteOffset, _In_ ULONG Length, _Out_ PVOID Buffer,
                            _In_ FLT_IO_OPERATION_FLAGS Flags, _Out_opt_ PULONG BytesRead,
                            _In_opt_ PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine, _In_opt_ PVOID CallbackContext);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltWriteFile(_In_ PFLT_INSTANCE InitiatingInstance, _In_ PFILE_OBJECT FileObject,
                             _In_opt_ PLARGE_INTEGER ByteOffset, _In_ ULONG Length, _In_ PVOID Buffer,
                             _In_ FLT_IO_OPERATION_FLAGS Flags, _Out_opt_ PULONG BytesWritten,
                             _In_opt_ PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine, _In_opt_ PVOID CallbackContext);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltReadFileEx(_In_ PFLT_INSTANCE InitiatingInstance, _In_ PFILE_OBJECT FileObject,
                              _In_opt_ PLARGE_INTEGER ByteOffset, _In_ ULONG Length, _Out_opt_ PVOID Buffer,
                              _In_ FLT_IO_OPERATION_FLAGS Flags, _Out_opt_ PULONG BytesRead,
                              _In_opt_ PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine, _In_opt_ PVOID CallbackContext,
                              _In_opt_ PULONG Key, _In_opt_ PMDL Mdl);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltWriteFileEx(_In_ PFLT_INSTANCE InitiatingInstance, _In_ PFILE_OBJECT FileObject,
                               _In_opt_ PLARGE_INTEGER ByteOffset, _In_ ULONG Length, _In_opt_ PVOID Buffer,
                               _In_ FLT_IO_OPERATION_FLAGS Flags, _Out_opt_ PULONG BytesWritten,
                               _In_opt_ PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine,
                               _In_opt_ PVOID CallbackContext, _In_opt_ PULONG Key, _In_opt_ PMDL Mdl);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltFlushBuffers(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject);

// ---- the buffers of operations

/// Any IRQL.
NTSTATUS FLTAPI FltDecodeParameters(_In_ PFLT_CALLBACK_DATA CallbackData, _Out_opt_ PMDL **MdlAddressPointer,
                                    _Out_opt_ PVOID **Buffer, _Out_opt_ PULONG *Length,
                                    _Out_opt_ LOCK_OPERATION *DesiredAccess);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltLockUserBuffer(_In_ PFLT_CALLBACK_DATA CallbackData);

/// Any IRQL, in a post-operation.
PMDL FLTAPI FltGetSwappedBufferMdlAddress(_In_ PFLT_CALLBACK_DATA CallbackData);

/// Any IRQL, in a post-operation.
void FLTAPI FltRetainSwappedBufferMdlAddress(_In_ PFLT_CALLBACK_DATA CallbackData);

// ---- information and controls

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueryInformationFile(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                        _Out_ PVOID FileInformation, _In_ ULONG Length,
                                        _In_ FILE_INFORMATION_CLASS FileInformationClass,
                                        _Out_opt_ PULONG LengthReturned);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltSetInformationFile(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                      _In_ PVOID FileInformation, _In_ ULONG Length,
                                      _In_ FILE_INFORMATION_CLASS FileInformationClass);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltIsDirectory(_In_ PFILE_OBJECT FileObject, _In_ PFLT_INSTANCE Instance, _Out_ PBOOLEAN IsDirectory);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueryDirectoryFile(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                      _Out_ PVOID FileInformation, _In_ ULONG Length,
                                      _In_ FILE_INFORMATION_CLASS FileInformationClass, _In_ BOOLEAN ReturnSingleEntry,
                                      _In_opt_ PUNICODE_STRING FileName, _In_ BOOLEAN RestartScan,
                                      _Out_opt_ PULONG LengthReturned);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueryDirectoryFileEx(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                        _Out_ PVOID FileInformation, _In_ ULONG Length,
                                        _In_ FILE_INFORMATION_CLASS FileInformationClass, _In_ ULONG QueryFlags,
                                        _In_opt_ PUNICODE_STRING FileName, _Out_opt_ PULONG LengthReturned);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQuerySecurityObject(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                       _In_ SECURITY_INFORMATION SecurityInformation,
                                       _Inout_opt_ PSECURITY_DESCRIPTOR SecurityDescriptor, _In_ ULONG Length,
                                       _Out_opt_ PULONG LengthNeeded);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltSetSecurityObject(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                     _In_ SECURITY_INFORMATION SecurityInformation,
                                     _In_ PSECURITY_DESCRIPTOR SecurityDescriptor);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueryEaFile(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject, _Out_ PVOID ReturnedEaData,
                               _In_ ULONG Length, _In_ BOOLEAN ReturnSingleEntry, _In_opt_ PVOID EaList,
                               _In_ ULONG EaListLength, _In_opt_ PULONG EaIndex, _In_ BOOLEAN RestartScan,
                               _Out_opt_ PULONG LengthReturned);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltSetEaFile(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject, _In_ PVOID EaBuffer,
                             _In_ ULONG Length);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltFsControlFile(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject, _In_ ULONG FsControlCode,
                                 _In_opt_ PVOID InputBuffer, _In_ ULONG InputBufferLength, _Out_opt_ PVOID OutputBuffer,
                                 _In_ ULONG OutputBufferLength, _Out_opt_ PULONG LengthReturned);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltDeviceIoControlFile(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                       _In_ ULONG IoControlCode, _In_opt_ PVOID InputBuffer,
                                       _In_ ULONG InputBufferLength, _Out_opt_ PVOID OutputBuffer,
                                       _In_ ULONG OutputBufferLength, _Out_opt_ PULONG LengthReturned);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueryInformationByName(_In_ PFLT_FILTER Filter, _In_opt_ PFLT_INSTANCE Instance,
                                          _In_ POBJECT_ATTRIBUTES ObjectAttributes,
                                          _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                                          _Out_writes_bytes_(Length) PVOID FileInformation, _In_ ULONG Length,
                                          _In_ FILE_INFORMATION_CLASS FileInformationClass,
                                          _In_opt_ PIO_DRIVER_CREATE_CONTEXT DriverContext);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltTagFile(_In_ PFLT_INSTANCE InitiatingInstance, _In_ PFILE_OBJECT FileObject, _In_ ULONG FileTag,
                           _In_opt_ GUID *Guid, _In_ PVOID DataBuffer, _In_ USHORT DataBufferLength);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltUntagFile(_In_ PFLT_INSTANCE InitiatingInstance, _In_ PFILE_OBJECT FileObject, _In_ ULONG FileTag,
                             _In_opt_ GUID *Guid);

// ---- volumes

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueryVolumeInformationFile(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                              _Out_ PVOID FsInformation, _In_ ULONG Length,
                                              _In_ FS_INFORMATION_CLASS FsInformationClass,
                                              _Out_opt_ PULONG LengthReturned);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueryVolumeInformation(_In_ PFLT_INSTANCE Instance, _Out_ PIO_STATUS_BLOCK Iosb,
                                          _Out_ PVOID FsInformation, _In_ ULONG Length,
                                          _In_ FS_INFORMATION_CLASS FsInformationClass);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltSetVolumeInformation(_In_ PFLT_INSTANCE Instance, _Out_ PIO_STATUS_BLOCK Iosb,
                                        _Out_ PVOID FsInformation, _In_ ULONG Length,
                                        _In_ FS_INFORMATION_CLASS FsInformationClass);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetVolumeProperties(_In_ PFLT_VOLUME Volume, _Out_opt_ PFLT_VOLUME_PROPERTIES VolumeProperties,
                                       _In_ ULONG VolumePropertiesLength, _Out_ PULONG LengthReturned);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS FLTAPI FltGetVolumeFromName(_In_ PFLT_FILTER Filter, _In_ PCUNICODE_STRING VolumeName,
                                     _Out_ PFLT_VOLUME *RetVolume);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetVolumeFromInstance(_In_ PFLT_INSTANCE Instance, _Out_ PFLT_VOLUME *RetVolume);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetVolumeInstanceFromName(_In_opt_ PFLT_FILTER Filter, _In_ PFLT_VOLUME Volume,
                                             _In_opt_ PCUNICODE_STRING InstanceName, _Out_ PFLT_INSTANCE *RetInstance);

// ---- extra create parameters: IRQL <= APC_LEVEL

/// The result must be looked at.
NTSTATUS FLTAPI FltAllocateExtraCreateParameterList(_In_ PFLT_FILTER Filter, _In_ FSRTL_ALLOCATE_ECPLIST_FLAGS Flags,
                                                    _Out_ PECP_LIST *EcpList);

void FLTAPI FltFreeExtraCreateParameterList(_In_ PFLT_FILTER Filter, _In_ PECP_LIST EcpList);

/// The result must be looked at.
NTSTATUS FLTAPI FltAllocateExtraCreateParameter(_In_ PFLT_FILTER Filter, _In_ LPCGUID EcpType, _In_ ULONG SizeOfContext,
                                                _In_ FSRTL_ALLOCATE_ECP_FLAGS Flags,
                                                _In_opt_ PFSRTL_EXTRA_CREATE_PARAMETER_CLEANUP_CALLBACK CleanupCallback,
                                                _In_ ULONG PoolTag, _Out_ PVOID *EcpContext);

void FLTAPI FltFreeExtraCreateParameter(_In_ PFLT_FILTER Filter, _In_ PVOID EcpContext);

void FLTAPI FltInitExtraCreateParameterLookasideList(_In_ PFLT_FILTER Filter, _Inout_ PVOID Lookaside,
                                                     _In_ FSRTL_ECP_LOOKASIDE_FLAGS Flags, _In_ SIZE_T Size,
                                                     _In_ ULONG Tag);

void FLTAPI FltDeleteExtraCreateParameterLookasideList(_In_ PFLT_FILTER Filter, _Inout_ PVOID Lookaside,
                                                       _In_ FSRTL_ECP_LOOKASIDE_FLAGS Flags);

/// The result must be looked at.
NTSTATUS FLTAPI FltAllocateExtraCreateParameterFromLookasideList(
    _In_ PFLT_FILTER Filter, _In_ LPCGUID EcpType, _In_ ULONG SizeOfContext, _In_ FSRTL_ALLOCATE_ECP_FLAGS Flags,
    _In_opt_ PFSRTL_EXTRA_CREATE_PARAMETER_CLEANUP_CALLBACK CleanupCallback, _Inout_ PVOID LookasideList,
    _Out_ PVOID *EcpContext);

NTSTATUS FLTAPI FltInsertExtraCreateParameter(_In_ PFLT_FILTER Filter, _Inout_ PECP_LIST EcpList,
                                              _Inout_ PVOID EcpContext);

NTSTATUS FLTAPI FltFindExtraCreateParameter(_In_ PFLT_FILTER Filter, _In_ PECP_LIST EcpList, _In_ LPCGUID EcpType,
                                            _Out_opt_ PVOID *EcpContext, _Out_opt_ ULONG *EcpContextSize);

NTSTATUS FLTAPI FltRemoveExtraCreateParameter(_In_ PFLT_FILTER Filter, _Inout_ PECP_LIST EcpList, _In_ LPCGUID EcpType,
                                              _Out_ PVOID *EcpContext, _Out_opt_ ULONG *EcpContextSize);

NTSTATUS FLTAPI FltGetNextExtraCreateParameter(_In_ PFLT_FILTER Filter, _In_ PECP_LIST EcpList,
                                               _In_opt_ PVOID CurrentEcpContext, _Out_opt_ LPGUID NextEcpType,
                                               _Out_opt_ PVOID *NextEcpContext, _Out_opt_ ULONG *NextEcpContextSize);

NTSTATUS FLTAPI FltGetEcpListFromCallbackData(_In_ PFLT_FILTER Filter, _In_ PFLT_CALLBACK_DATA CallbackData,
                                              _Out_ PECP_LIST *EcpList);

NTSTATUS FLTAPI FltSetEcpListIntoCallbackData(_In_ PFLT_FILTER Filter, _In_ PFLT_CALLBACK_DATA CallbackData,
                                              _In_ PECP_LIST EcpList);

void FLTAPI FltAcknowledgeEcp(_In_ PFLT_FILTER Filter, _In_ PVOID EcpContext);

BOOLEAN FLTAPI FltIsEcpAcknowledged(_In_ PFLT_FILTER Filter, _In_ PVOID EcpContext);

BOOLEAN FLTAPI FltIsEcpFromUserMode(_In_ PFLT_FILTER Filter, _In_ PVOID EcpContext);

EXTERN_C_END
