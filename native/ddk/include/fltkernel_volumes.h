// SPDX-License-Identifier: MIT
//
// This module provides: calls that find filters, instances and volumes, that attach and detach, and that tell what a volume is.

#pragma once

#include "fltkernel_types.h"

EXTERN_C_START

// ---- lists; what is returned is referenced

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltEnumerateFilters(_Out_writes_to_opt_(FilterListSize, *NumberFiltersReturned) PFLT_FILTER *FilterList,
                                    _In_ ULONG FilterListSize, _Out_ PULONG NumberFiltersReturned);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltEnumerateVolumes(_In_ PFLT_FILTER Filter,
                                    _Out_writes_to_opt_(VolumeListSize, *NumberVolumesReturned) PFLT_VOLUME *VolumeList,
                                    _In_ ULONG VolumeListSize, _Out_ PULONG NumberVolumesReturned);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltEnumerateInstances(_In_opt_ PFLT_VOLUME Volume, _In_opt_ PFLT_FILTER Filter,
                                      _Out_writes_to_opt_(InstanceListSize, *NumberInstancesReturned)
                                          PFLT_INSTANCE *InstanceList,
                                      _In_ ULONG InstanceListSize, _Out_ PULONG NumberInstancesReturned);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetFilterFromName(_In_ PCUNICODE_STRING FilterName, _Out_ PFLT_FILTER *RetFilter);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetFilterFromInstance(_In_ PFLT_INSTANCE Instance, _Out_ PFLT_FILTER *RetFilter);

// ---- attaching

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltAttachVolume(_Inout_ PFLT_FILTER Filter, _Inout_ PFLT_VOLUME Volume,
                                _In_opt_ PCUNICODE_STRING InstanceName, _Out_opt_ PFLT_INSTANCE *RetInstance);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltAttachVolumeAtAltitude(_Inout_ PFLT_FILTER Filter, _Inout_ PFLT_VOLUME Volume,
                                          _In_ PCUNICODE_STRING Altitude, _In_opt_ PCUNICODE_STRING InstanceName,
                                          _Out_opt_ PFLT_INSTANCE *RetInstance);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltDetachVolume(_Inout_ PFLT_FILTER Filter, _Inout_ PFLT_VOLUME Volume,
                                _In_opt_ PCUNICODE_STRING InstanceName);

// ---- what a volume is

/// IRQL <= DISPATCH_LEVEL. The device object is referenced.
NTSTATUS FLTAPI FltGetDeviceObject(_In_ PFLT_VOLUME Volume, _Out_ PDEVICE_OBJECT *DeviceObject);

/// IRQL <= DISPATCH_LEVEL. The device object is referenced.
NTSTATUS FLTAPI FltGetDiskDeviceObject(_In_ PFLT_VOLUME Volume, _Out_ PDEVICE_OBJECT *DiskDeviceObject);

/// IRQL <= DISPATCH_LEVEL. FltObject: a volume or an instance.
NTSTATUS FLTAPI FltGetFileSystemType(_In_ PVOID FltObject, _Out_ PFLT_FILESYSTEM_TYPE FileSystemType);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltGetVolumeGuidName(_In_ PFLT_VOLUME Volume, _Inout_opt_ PUNICODE_STRING VolumeGuidName,
                                     _Out_opt_ PULONG BufferSizeNeeded);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at. FltObject: a volume or an instance.
NTSTATUS FLTAPI FltIsVolumeSnapshot(_In_ PVOID FltObject, _Out_ PBOOLEAN IsSnapshotVolume);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at. FltObject: a volume or an instance.
NTSTATUS FLTAPI FltIsVolumeWritable(_In_ PVOID FltObject, _Out_ PBOOLEAN IsWritable);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltOpenVolume(_In_ PFLT_INSTANCE Instance, _Out_ PHANDLE VolumeHandle,
                              _Out_opt_ PFILE_OBJECT *VolumeFileObject);

// ---- names

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltGetFileNameInformationUnsafe(_In_ PFILE_OBJECT FileObject, _In_opt_ PFLT_INSTANCE Instance,
                                                _In_ FLT_FILE_NAME_OPTIONS NameOptions,
                                                _Outptr_ PFLT_FILE_NAME_INFORMATION *FileNameInformation);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI
FltGetTunneledName(_In_ PFLT_CALLBACK_DATA CallbackData, _In_ PFLT_FILE_NAME_INFORMATION FileNameInformation,
                   _Outptr_result_maybenull_ PFLT_FILE_NAME_INFORMATION *RetTunneledFileNameInformation);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltParseFileName(_In_ PCUNICODE_STRING FileName, _Inout_opt_ PUNICODE_STRING Extension,
                                 _Inout_opt_ PUNICODE_STRING Stream, _Inout_opt_ PUNICODE_STRING FinalComponent);

EXTERN_C_END
