// SPDX-License-Identifier: MIT
//
// This module provides: the Filter Manager's calls.

#pragma once

#include "fltkernel_types.h"

EXTERN_C_START

// ---- registration

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltRegisterFilter(_In_ PDRIVER_OBJECT Driver, _In_ const FLT_REGISTRATION *Registration,
                                  _Out_ PFLT_FILTER *RetFilter);

/// IRQL <= APC_LEVEL.
void FLTAPI FltUnregisterFilter(_In_ PFLT_FILTER Filter);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltStartFiltering(_In_ PFLT_FILTER Filter);

// ---- deferred and pended operations

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
PFLT_DEFERRED_IO_WORKITEM FLTAPI FltAllocateDeferredIoWorkItem(VOID);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltFreeDeferredIoWorkItem(_In_ PFLT_DEFERRED_IO_WORKITEM FltWorkItem);

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueueDeferredIoWorkItem(_In_ PFLT_DEFERRED_IO_WORKITEM FltWorkItem, _In_ PFLT_CALLBACK_DATA Data,
                                           _In_ PFLT_DEFERRED_IO_WORKITEM_ROUTINE WorkerRoutine,
                                           _In_ WORK_QUEUE_TYPE QueueType, _In_ PVOID Context);

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
PFLT_GENERIC_WORKITEM FLTAPI FltAllocateGenericWorkItem(VOID);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltFreeGenericWorkItem(_In_ PFLT_GENERIC_WORKITEM FltWorkItem);

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltQueueGenericWorkItem(_In_ PFLT_GENERIC_WORKITEM FltWorkItem, _In_ PVOID FltObject,
                                        _In_ PFLT_GENERIC_WORKITEM_ROUTINE WorkerRoutine,
                                        _In_ WORK_QUEUE_TYPE QueueType, _In_opt_ PVOID Context);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltCompletePendedPostOperation(_In_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= APC_LEVEL.
void FLTAPI FltCompletePendedPreOperation(_In_ PFLT_CALLBACK_DATA CallbackData,
                                          _In_ FLT_PREOP_CALLBACK_STATUS CallbackStatus, _In_opt_ PVOID Context);

/// Any IRQL. The result must be looked at.
NTSTATUS FLTAPI FltCbdqInitialize(_In_ PFLT_INSTANCE Instance, _Inout_ PFLT_CALLBACK_DATA_QUEUE Cbdq,
                                  _In_ PFLT_CALLBACK_DATA_QUEUE_INSERT_IO CbdqInsertIo,
                                  _In_ PFLT_CALLBACK_DATA_QUEUE_REMOVE_IO CbdqRemoveIo,
                                  _In_ PFLT_CALLBACK_DATA_QUEUE_PEEK_NEXT_IO CbdqPeekNextIo,
                                  _In_ PFLT_CALLBACK_DATA_QUEUE_ACQUIRE CbdqAcquire,
                                  _In_ PFLT_CALLBACK_DATA_QUEUE_RELEASE CbdqRelease,
                                  _In_ PFLT_CALLBACK_DATA_QUEUE_COMPLETE_CANCELED_IO CbdqCompleteCanceledIo);

// Of the calls below: IRQL <= DISPATCH_LEVEL where the queue's lock is a spin lock, else <= APC_LEVEL.

void FLTAPI FltCbdqEnable(_Inout_ PFLT_CALLBACK_DATA_QUEUE Cbdq);

void FLTAPI FltCbdqDisable(_Inout_ PFLT_CALLBACK_DATA_QUEUE Cbdq);

/// The result must be looked at.
NTSTATUS FLTAPI FltCbdqInsertIo(_Inout_ PFLT_CALLBACK_DATA_QUEUE Cbdq, _In_ PFLT_CALLBACK_DATA Cbd,
                                _In_opt_ PFLT_CALLBACK_DATA_QUEUE_IO_CONTEXT Context, _In_opt_ PVOID InsertContext);

/// The result must be looked at.
PFLT_CALLBACK_DATA FLTAPI FltCbdqRemoveIo(_Inout_ PFLT_CALLBACK_DATA_QUEUE Cbdq,
                                          _In_ PFLT_CALLBACK_DATA_QUEUE_IO_CONTEXT Context);

/// The result must be looked at.
PFLT_CALLBACK_DATA FLTAPI FltCbdqRemoveNextIo(_Inout_ PFLT_CALLBACK_DATA_QUEUE Cbdq, _In_opt_ PVOID PeekContext);

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS FLTAPI FltSetCancelCompletion(_In_ PFLT_CALLBACK_DATA CallbackData,
                                       _In_ PFLT_COMPLETE_CANCELED_CALLBACK CanceledCallback);

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltClearCancelCompletion(_In_ PFLT_CALLBACK_DATA CallbackData);

/// Any IRQL.
BOOLEAN FLTAPI FltIsIoCanceled(_In_ PFLT_CALLBACK_DATA CallbackData);

/// Any IRQL.
BOOLEAN FLTAPI FltDoCompletionProcessingWhenSafe(_In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects,
                                                 _In_opt_ PVOID CompletionContext, _In_ FLT_POST_OPERATION_FLAGS Flags,
                                                 _In_ PFLT_POST_OPERATION_CALLBACK SafePostCallback,
                                                 _Out_ PFLT_POSTOP_CALLBACK_STATUS RetPostOperationStatus);

/// IRQL <= PASSIVE_LEVEL.
void FLTAPI FltCancelFileOpen(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject);

// ---- callback data

/// Any IRQL.
void FLTAPI FltSetCallbackDataDirty(_Inout_ PFLT_CALLBACK_DATA Data);

/// Any IRQL.
void FLTAPI FltClearCallbackDataDirty(_Inout_ PFLT_CALLBACK_DATA Data);

/// Any IRQL.
BOOLEAN FLTAPI FltIsCallbackDataDirty(_In_ PFLT_CALLBACK_DATA Data);

/// Any IRQL.
BOOLEAN FLTAPI FltIsOperationSynchronous(_In_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= DISPATCH_LEVEL.
PEPROCESS FLTAPI FltGetRequestorProcess(_In_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= DISPATCH_LEVEL.
ULONG FLTAPI FltGetRequestorProcessId(_In_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= DISPATCH_LEVEL.
HANDLE FLTAPI FltGetRequestorProcessIdEx(_In_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltRequestOperationStatusCallback(_In_ PFLT_CALLBACK_DATA Data,
                                                  _In_ PFLT_GET_OPERATION_STATUS_CALLBACK CallbackRoutine,
                                                  _In_opt_ PVOID RequesterContext);

/// Any IRQL.
PCHAR FLTAPI FltGetIrpName(_In_ UCHAR IrpMajorCode);

// ---- contexts

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltAllocateContext(_In_ PFLT_FILTER Filter, _In_ FLT_CONTEXT_TYPE ContextType, _In_ SIZE_T ContextSize,
                                   _In_ POOL_TYPE PoolType, _Out_ PFLT_CONTEXT *ReturnedContext);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltReferenceContext(_In_ PFLT_CONTEXT Context);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltReleaseContext(_In_ PFLT_CONTEXT Context);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltSetInstanceContext(_In_ PFLT_INSTANCE Instance, _In_ FLT_SET_CONTEXT_OPERATION Operation,
                                      _In_ PFLT_CONTEXT NewContext, _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetInstanceContext(_In_ PFLT_INSTANCE Instance, _Out_ PFLT_CONTEXT *Context);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltDeleteInstanceContext(_In_ PFLT_INSTANCE Instance, _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltSetStreamHandleContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                          _In_ FLT_SET_CONTEXT_OPERATION Operation, _In_ PFLT_CONTEXT NewContext,
                                          _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetStreamHandleContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                          _Out_ PFLT_CONTEXT *Context);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltDeleteStreamHandleContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                             _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
VOID FLTAPI FltDeleteContext(_In_ PFLT_CONTEXT Context);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltSetStreamContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                    _In_ FLT_SET_CONTEXT_OPERATION Operation, _In_ PFLT_CONTEXT NewContext,
                                    _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetStreamContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                    _Out_ PFLT_CONTEXT *Context);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltDeleteStreamContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                       _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltSetFileContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                  _In_ FLT_SET_CONTEXT_OPERATION Operation, _In_ PFLT_CONTEXT NewContext,
                                  _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetFileContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                  _Out_ PFLT_CONTEXT *Context);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltDeleteFileContext(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                     _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltSetVolumeContext(_In_ PFLT_VOLUME Volume, _In_ FLT_SET_CONTEXT_OPERATION Operation,
                                    _In_ PFLT_CONTEXT NewContext, _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetVolumeContext(_In_ PFLT_FILTER Filter, _In_ PFLT_VOLUME Volume, _Out_ PFLT_CONTEXT *Context);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltDeleteVolumeContext(_In_ PFLT_FILTER Filter, _In_ PFLT_VOLUME Volume,
                                       _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
BOOLEAN FLTAPI FltSupportsStreamHandleContexts(_In_ PFILE_OBJECT FileObject);

/// IRQL <= APC_LEVEL.
BOOLEAN FLTAPI FltSupportsStreamContexts(_In_ PFILE_OBJECT FileObject);

/// IRQL <= APC_LEVEL.
BOOLEAN FLTAPI FltSupportsFileContexts(_In_ PFILE_OBJECT FileObject);

/// IRQL <= APC_LEVEL.
BOOLEAN FLTAPI FltSupportsFileContextsEx(_In_ PFILE_OBJECT FileObject, _In_opt_ PFLT_INSTANCE Instance);

/// IRQL <= APC_LEVEL.
void FLTAPI FltGetContexts(_In_ PCFLT_RELATED_OBJECTS FltObjects, _In_ FLT_CONTEXT_TYPE DesiredContexts,
                           _Out_ PFLT_RELATED_CONTEXTS Contexts);

/// IRQL <= APC_LEVEL.
void FLTAPI FltReleaseContexts(_In_ PFLT_RELATED_CONTEXTS Contexts);

// ---- transactions

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltSetTransactionContext(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                         _In_ FLT_SET_CONTEXT_OPERATION Operation, _In_ PFLT_CONTEXT NewContext,
                                         _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetTransactionContext(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                         _Out_ PFLT_CONTEXT *Context);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltDeleteTransactionContext(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                            _Out_opt_ PFLT_CONTEXT *OldContext);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltEnlistInTransaction(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                       _In_ PFLT_CONTEXT TransactionContext, _In_ NOTIFICATION_MASK NotificationMask);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltRollbackEnlistment(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                      _In_opt_ PFLT_CONTEXT TransactionContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltPrePrepareComplete(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                      _In_opt_ PFLT_CONTEXT TransactionContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltPrepareComplete(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                   _In_opt_ PFLT_CONTEXT TransactionContext);

/// IRQL == PASSIVE_LEVEL.
NTSTATUS FLTAPI FltCommitComplete(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                  _In_opt_ PFLT_CONTEXT TransactionContext);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltCommitFinalizeComplete(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                          _In_opt_ PFLT_CONTEXT TransactionContext);

/// IRQL == PASSIVE_LEVEL.
NTSTATUS FLTAPI FltRollbackComplete(_In_ PFLT_INSTANCE Instance, _In_ PKTRANSACTION Transaction,
                                    _In_opt_ PFLT_CONTEXT TransactionContext);

// ---- names

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltGetFileNameInformation(_In_ PFLT_CALLBACK_DATA CallbackData, _In_ FLT_FILE_NAME_OPTIONS NameOptions,
                                          _Out_ PFLT_FILE_NAME_INFORMATION *FileNameInformation);

/// IRQL <= APC_LEVEL.
void FLTAPI FltReleaseFileNameInformation(_In_ PFLT_FILE_NAME_INFORMATION FileNameInformation);

/// IRQL <= APC_LEVEL.
void FLTAPI FltReferenceFileNameInformation(_In_ PFLT_FILE_NAME_INFORMATION FileNameInformation);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltParseFileNameInformation(_Inout_ PFLT_FILE_NAME_INFORMATION FileNameInformation);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltGetDestinationFileNameInformation(_In_ PFLT_INSTANCE Instance, _In_ PFILE_OBJECT FileObject,
                                                     _In_opt_ HANDLE RootDirectory, _In_ PWSTR FileName,
                                                     _In_ ULONG FileNameLength, _In_ FLT_FILE_NAME_OPTIONS NameOptions,
                                                     _Out_ PFLT_FILE_NAME_INFORMATION *RetFileNameInformation);

// ---- objects

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltGetVolumeName(_In_ PFLT_VOLUME Volume, _Inout_opt_ PUNICODE_STRING VolumeName,
                                 _Out_opt_ PULONG BufferSizeNeeded);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetVolumeFromFileObject(_In_ PFLT_FILTER Filter, _In_ PFILE_OBJECT FileObject,
                                           _Out_ PFLT_VOLUME *RetVolume);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetInstanceInformation(_In_ PFLT_INSTANCE Instance, _In_ INSTANCE_INFORMATION_CLASS InformationClass,
                                          _Out_opt_ PVOID Buffer, _In_ ULONG BufferSize, _Out_ PULONG BytesReturned);

/// IRQL <= APC_LEVEL.
NTSTATUS FLTAPI FltGetVolumeInformation(_In_ PFLT_VOLUME Volume, _In_ FILTER_VOLUME_INFORMATION_CLASS InformationClass,
                                        _Out_opt_ PVOID Buffer, _In_ ULONG BufferSize, _Out_ PULONG BytesReturned);

/// IRQL <= APC_LEVEL. Referenced.
NTSTATUS FLTAPI FltGetVolumeFromDeviceObject(_In_ PFLT_FILTER Filter, _In_ PDEVICE_OBJECT DeviceObject,
                                             _Out_ PFLT_VOLUME *RetVolume);

/// These four: IRQL <= APC_LEVEL. The instance is referenced.
NTSTATUS FLTAPI FltGetTopInstance(_In_ PFLT_VOLUME Volume, _Out_ PFLT_INSTANCE *Instance);

NTSTATUS FLTAPI FltGetBottomInstance(_In_ PFLT_VOLUME Volume, _Out_ PFLT_INSTANCE *Instance);

NTSTATUS FLTAPI FltGetUpperInstance(_In_ PFLT_INSTANCE CurrentInstance, _Out_ PFLT_INSTANCE *UpperInstance);

NTSTATUS FLTAPI FltGetLowerInstance(_In_ PFLT_INSTANCE CurrentInstance, _Out_ PFLT_INSTANCE *LowerInstance);

/// IRQL <= DISPATCH_LEVEL. Of this name; null when there is none. The result must be looked at.
PVOID FLTAPI FltGetRoutineAddress(_In_ PCSTR FltMgrRoutineName);

/// IRQL <= DISPATCH_LEVEL.
BOOLEAN FLTAPI FltIs32bitProcess(_In_opt_ PFLT_CALLBACK_DATA CallbackData);

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltObjectReference(_Inout_ PVOID FltObject);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltObjectDereference(_Inout_ PVOID FltObject);

// ---- ports

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltBuildDefaultSecurityDescriptor(_Out_ PSECURITY_DESCRIPTOR *SecurityDescriptor,
                                                  _In_ ACCESS_MASK DesiredAccess);

/// IRQL <= APC_LEVEL.
void FLTAPI FltFreeSecurityDescriptor(_In_ PSECURITY_DESCRIPTOR SecurityDescriptor);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltCreateCommunicationPort(_In_ PFLT_FILTER Filter, _Out_ PFLT_PORT *ServerPort,
                                           _In_ POBJECT_ATTRIBUTES ObjectAttributes, _In_opt_ PVOID ServerPortCookie,
                                           _In_ PFLT_CONNECT_NOTIFY ConnectNotifyCallback,
                                           _In_ PFLT_DISCONNECT_NOTIFY DisconnectNotifyCallback,
                                           _In_opt_ PFLT_MESSAGE_NOTIFY MessageNotifyCallback,
                                           _In_ LONG MaxConnections);

/// IRQL <= PASSIVE_LEVEL.
void FLTAPI FltCloseCommunicationPort(_In_ PFLT_PORT ServerPort);

/// IRQL <= PASSIVE_LEVEL.
void FLTAPI FltCloseClientPort(_In_ PFLT_FILTER Filter, _Inout_ PFLT_PORT *ClientPort);

/// IRQL <= APC_LEVEL. The result must be looked at.
NTSTATUS FLTAPI FltSendMessage(_In_ PFLT_FILTER Filter, _In_ PFLT_PORT *ClientPort, _In_ PVOID SenderBuffer,
                               _In_ ULONG SenderBufferLength, _Out_opt_ PVOID ReplyBuffer,
                               _Inout_opt_ PULONG ReplyLength, _In_opt_ PLARGE_INTEGER Timeout);

// ---- resources, acquired in a critical region

/// IRQL <= APC_LEVEL.
void FLTAPI FltAcquireResourceExclusive(_Inout_ PERESOURCE Resource);

/// IRQL <= APC_LEVEL.
void FLTAPI FltAcquireResourceShared(_Inout_ PERESOURCE Resource);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltReleaseResource(_Inout_ PERESOURCE Resource);

// ---- push locks: acquired in a critical region. IRQL <= APC_LEVEL; Flags 0

void FLTAPI FltInitializePushLock(_Out_ PULONG_PTR PushLock);

void FLTAPI FltDeletePushLock(_In_ PULONG_PTR PushLock);

#define FLT_PUSH_LOCK_ENABLE_AUTO_BOOST 0x1
#define FLT_PUSH_LOCK_DISABLE_AUTO_BOOST 0x2
#define FLT_PUSH_LOCK_VALID_FLAGS 0x3

void FLTAPI FltAcquirePushLockExclusive(_Inout_ PULONG_PTR PushLock);

void FLTAPI FltAcquirePushLockExclusiveEx(_Inout_ PULONG_PTR PushLock, _In_ ULONG Flags);

void FLTAPI FltAcquirePushLockShared(_Inout_ PULONG_PTR PushLock);

void FLTAPI FltAcquirePushLockSharedEx(_Inout_ PULONG_PTR PushLock, _In_ ULONG Flags);

void FLTAPI FltReleasePushLock(_Inout_ PULONG_PTR PushLock);

void FLTAPI FltReleasePushLockEx(_Inout_ PULONG_PTR PushLock, _In_ ULONG Flags);

// ---- pool

/// IRQL <= DISPATCH_LEVEL, paged pool <= APC_LEVEL.
PVOID FLTAPI FltAllocatePoolAlignedWithTag(_In_ PFLT_INSTANCE Instance, _In_ POOL_TYPE PoolType,
                                           _In_ SIZE_T NumberOfBytes, _In_ ULONG Tag);

/// IRQL <= DISPATCH_LEVEL.
void FLTAPI FltFreePoolAlignedWithTag(_In_ PFLT_INSTANCE Instance, _In_ PVOID Buffer, _In_ ULONG Tag);

EXTERN_C_END
