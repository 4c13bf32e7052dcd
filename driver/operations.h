// SPDX-License-Identifier: MIT
//
// This module provides: the callbacks of operations, and what they ask (operations.c, classify.c, policy.c).

#pragma once

// classify.c
_IRQL_requires_max_(DISPATCH_LEVEL) MINIPEND_OPERATION MpClassify(_In_ const FLT_CALLBACK_DATA *Data);

// policy.c
/// The first cause, in the order of precedence, that keeps the rule's action (not observe) away from this operation: notIrp, paging, policy. FALSE: none.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN
    MpRefusedEarly(_In_ PFLT_CALLBACK_DATA Data, _In_ const MP_INSTANCE *Instance, _In_ const MP_RULE *Rule,
                   _Out_ MINIPEND_REFUSAL *Refusal);
/// Whether a safety default keeps the rule's action away from this operation.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN
    MpPolicyExcludes(_In_ PFLT_CALLBACK_DATA Data, _In_ const MP_INSTANCE *Instance, _In_ const MP_RULE *Rule);

// operations.c
FLT_PREOP_CALLBACK_STATUS FLTAPI MpPreOperation(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects,
                                                _Outptr_result_maybenull_ PVOID *CompletionContext);
FLT_POSTOP_CALLBACK_STATUS FLTAPI MpPostOperation(_Inout_ PFLT_CALLBACK_DATA Data,
                                                  _In_ PCFLT_RELATED_OBJECTS FltObjects,
                                                  _In_opt_ PVOID CompletionContext,
                                                  _In_ FLT_POST_OPERATION_FLAGS Flags);
