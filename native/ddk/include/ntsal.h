// SPDX-License-Identifier: MIT
//
// This module provides: source annotations as empty macros. They document direction, nullability and IRQL; a static
// analyser for the Windows kernel reads them, the compilers used here do not.

#pragma once

#define _In_
#define _In_opt_
#define _In_z_
#define _In_opt_z_
#define _In_reads_(Count)
#define _In_reads_opt_(Count)
#define _In_reads_bytes_(Bytes)
#define _In_reads_bytes_opt_(Bytes)
#define _In_range_(Low, High)
#define _Inout_
#define _Inout_opt_
#define _Inout_updates_(Count)
#define _Inout_updates_bytes_(Bytes)
#define _Out_
#define _Out_opt_
#define _Out_writes_(Count)
#define _Out_writes_opt_(Count)
#define _Out_writes_to_(Count, Used)
#define _Out_writes_to_opt_(Count, Used)
#define _Out_writes_bytes_(Bytes)
#define _Out_writes_bytes_opt_(Bytes)
#define _Out_writes_bytes_to_(Bytes, Used)
#define _Out_writes_bytes_to_opt_(Bytes, Used)
#define _Outptr_
#define _Outptr_opt_
#define _Outptr_result_maybenull_
#define _Ret_maybenull_
#define _Ret_notnull_
#define _Reserved_
#define _Field_size_(Count)
#define _Field_size_bytes_(Bytes)
#define _Flt_ConnectionCookie_Outptr_
#define _Flt_CompletionContext_Outptr_
#define _Printf_format_string_
#define _Null_terminated_
#define _Points_to_data_

#define _Check_return_
#define _Must_inspect_result_
#define _Success_(Condition)
#define _When_(Condition, Annotation)
#define _At_(Target, Annotation)
#define _Analysis_assume_(Condition)
#define _Pre_
#define _Post_
#define _Pre_notnull_
#define _Post_satisfies_(Condition)
#define _Unreferenced_parameter_
#define _Use_decl_annotations_
#define _Function_class_(Class)

#define _IRQL_requires_(Level)
#define _IRQL_requires_max_(Level)
#define _IRQL_requires_min_(Level)
#define _IRQL_requires_same_
#define _IRQL_raises_(Level)
#define _IRQL_saves_
#define _IRQL_restores_
#define _IRQL_saves_global_(Kind, Parameter)
#define _IRQL_restores_global_(Kind, Parameter)
#define _Requires_lock_held_(Lock)
#define _Requires_lock_not_held_(Lock)
#define _Acquires_lock_(Lock)
#define _Releases_lock_(Lock)
#define _Acquires_exclusive_lock_(Lock)
#define _Releases_exclusive_lock_(Lock)
#define _Acquires_shared_lock_(Lock)
#define _Releases_shared_lock_(Lock)
#define _Guarded_by_(Lock)
#define _Interlocked_operand_
#define __drv_allocatesMem(Kind)
#define __drv_freesMem(Kind)
#define __drv_aliasesMem
