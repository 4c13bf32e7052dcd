// SPDX-License-Identifier: MIT
//
// This module provides: void fltsim_fiber_switch(void **save, void *load): pushes what a called function must preserve, stores the stack
// pointer in *save, continues where `load` was stored; and fltsim_fiber_start, where a new fiber's first switch lands.
// Other machines use the portable backend in fiber.cpp.

#if defined(__APPLE__)
#define NAME(x) _##x
#else
#define NAME(x) x
#endif

#if !defined(_WIN32) && defined(__x86_64__)

    .text
    .p2align 4
    .globl NAME(fltsim_fiber_switch)
#if !defined(__APPLE__)
    .hidden fltsim_fiber_switch
    .type fltsim_fiber_switch, @function
#endif
NAME(fltsim_fiber_switch):
    .cfi_startproc
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .cfi_endproc

// r12 = entry function, r13 = its argument; the stack pointer is 16-byte aligned here. Nothing above: unwinders stop.
    .p2align 4
    .globl NAME(fltsim_fiber_start)
#if !defined(__APPLE__)
    .hidden fltsim_fiber_start
    .type fltsim_fiber_start, @function
#endif
NAME(fltsim_fiber_start):
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    movq %r13, %rdi
    xorl %ebp, %ebp
    callq *%r12
    ud2
    .cfi_endproc

#elif !defined(_WIN32) && defined(__aarch64__)

    .text
    .p2align 4
    .globl NAME(fltsim_fiber_switch)
#if !defined(__APPLE__)
    .hidden fltsim_fiber_switch
    .type fltsim_fiber_switch, %function
#endif
NAME(fltsim_fiber_switch):
    .cfi_startproc
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .cfi_endproc

// x19 = entry function, x20 = its argument.
    .p2align 4
    .globl NAME(fltsim_fiber_start)
#if !defined(__APPLE__)
    .hidden fltsim_fiber_start
    .type fltsim_fiber_start, %function
#endif
NAME(fltsim_fiber_start):
    .cfi_startproc
    .cfi_undefined x30
    mov x0, x20
    mov x29, #0
    mov x30, #0
    blr x19
    brk #1
    .cfi_endproc

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
