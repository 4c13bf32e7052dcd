/* SPDX-License-Identifier: MIT
 *
 * This module provides: the load configuration directory (IMAGE_LOAD_CONFIG_DIRECTORY64, 280 bytes), which tells the image loader where
 * the stack cookie, the guard pointers and the guard tables are. The linker finds it by its name.
 *
 * In assembly, because GuardFlags is the value of a symbol cut to 32 bits, which C cannot write into a constant. The linker fills the
 * tables from what the compiler wrote into each object. Number in each comment: the member's offset.
 */

        .section .rdata, "dr"
        .globl  _load_config_used
        .balign 8
_load_config_used:
        .long   280                             /* 0    Size */
        .space  84                              /* 4    time stamp, version, heap limits: nothing of it is the kernel's */
        .quad   __security_cookie               /* 88   SecurityCookie */
        .space  16                              /* 96   SEHandlerTable, -Count: x86 only */
        .quad   __guard_check_icall_fptr        /* 112  GuardCFCheckFunctionPointer */
#if defined(__x86_64__)
        .quad   __guard_dispatch_icall_fptr     /* 120  GuardCFDispatchFunctionPointer */
#else
        .quad   0                               /*      arm64 code checks, then calls */
#endif
        .quad   __guard_fids_table              /* 128  GuardCFFunctionTable */
        .quad   __guard_fids_count              /* 136  GuardCFFunctionCount */
        .long   __guard_flags                   /* 144  GuardFlags */
        .space  12                              /* 148  CodeIntegrity */
        .quad   __guard_iat_table               /* 160  GuardAddressTakenIatEntryTable */
        .quad   __guard_iat_count               /* 168  GuardAddressTakenIatEntryCount */
        .quad   __guard_longjmp_table           /* 176  GuardLongJumpTargetTable */
        .quad   __guard_longjmp_count           /* 184  GuardLongJumpTargetCount */
        .space  72                              /* 192  dynamic relocations, return flow, hot patches, enclaves */
        .quad   __guard_eh_cont_table           /* 264  GuardEHContinuationTable */
        .quad   __guard_eh_cont_count           /* 272  GuardEHContinuationCount */
