// SPDX-License-Identifier: MIT
//
// This module provides: the assembly between a Windows driver image and the model: the gate that its calls go through, the C runtime
// functions that ntoskrnl.exe exports (leaves, so that a fault in one is a fault of its caller), and the jump to an exception's target.

#if defined(__linux__) && defined(__x86_64__)

#define FUNCTION(name) .p2align 4; .globl name; .hidden name; .type name, @function; name:

    .text

// r10 is the model's function; everything else is as the image passed it. rax and r11 are free at a call.
FUNCTION(fltsim_gate_enter)
    .cfi_startproc
    movq fltsim_gate@gottpoff(%rip), %rax
    movq %fs:(%rax), %rax
    movq (%rsp), %r11
    movq %r11, 0(%rax)
    leaq 8(%rsp), %r11
    movq %r11, 8(%rax)
    movq %rbx, 16(%rax)
    movq %rbp, 24(%rax)
    movq %rsi, 32(%rax)
    movq %rdi, 40(%rax)
    movq %r12, 48(%rax)
    movq %r13, 56(%rax)
    movq %r14, 64(%rax)
    movq %r15, 72(%rax)
    movups %xmm6, 80(%rax)
    movups %xmm7, 96(%rax)
    movups %xmm8, 112(%rax)
    movups %xmm9, 128(%rax)
    movups %xmm10, 144(%rax)
    movups %xmm11, 160(%rax)
    movups %xmm12, 176(%rax)
    movups %xmm13, 192(%rax)
    movups %xmm14, 208(%rax)
    movups %xmm15, 224(%rax)
    jmpq *%r10
    .cfi_endproc

// Continues at the CONTEXT in rdi (windows.hpp): all registers, flags last.
FUNCTION(fltsim_restore_context)
    .cfi_startproc
    .cfi_undefined rip
    ldmxcsr 0x34(%rdi)
    movups 0x1A0(%rdi), %xmm0
    movups 0x1B0(%rdi), %xmm1
    movups 0x1C0(%rdi), %xmm2
    movups 0x1D0(%rdi), %xmm3
    movups 0x1E0(%rdi), %xmm4
    movups 0x1F0(%rdi), %xmm5
    movups 0x200(%rdi), %xmm6
    movups 0x210(%rdi), %xmm7
    movups 0x220(%rdi), %xmm8
    movups 0x230(%rdi), %xmm9
    movups 0x240(%rdi), %xmm10
    movups 0x250(%rdi), %xmm11
    movups 0x260(%rdi), %xmm12
    movups 0x270(%rdi), %xmm13
    movups 0x280(%rdi), %xmm14
    movups 0x290(%rdi), %xmm15
    movq 0x98(%rdi), %rax // rsp there; the two words below it are free: Windows code has no red zone
    movq 0xF8(%rdi), %rcx
    movq %rcx, -8(%rax)
    movl 0x44(%rdi), %ecx
    movq %rcx, -16(%rax)
    movq 0xB0(%rdi), %rcx
    movq %rcx, -24(%rax)
    movq 0x80(%rdi), %rcx
    movq 0x88(%rdi), %rdx
    movq 0x90(%rdi), %rbx
    movq 0xA0(%rdi), %rbp
    movq 0xA8(%rdi), %rsi
    movq 0xB8(%rdi), %r8
    movq 0xC0(%rdi), %r9
    movq 0xC8(%rdi), %r10
    movq 0xD0(%rdi), %r11
    movq 0xD8(%rdi), %r12
    movq 0xE0(%rdi), %r13
    movq 0xE8(%rdi), %r14
    movq 0xF0(%rdi), %r15
    leaq -24(%rax), %rsp
    movq 0x78(%rdi), %rax
    popq %rdi
    popfq
    retq
    .cfi_endproc

// ---- the C runtime, Windows convention: rcx, rdx, r8; volatile registers only, nothing on the stack --------------------------
    .p2align 4
    .globl fltsim_runtime_begin
    .hidden fltsim_runtime_begin
fltsim_runtime_begin:

// void *memcpy(void *to, const void *from, size_t bytes). What overlaps is not for it: dispatch.cpp knows the place. The same place twice is
// how compilers assign a structure to itself.
FUNCTION(fltsim_memcpy)
    .cfi_startproc
    movq %rcx, %rax
    subq %rdx, %rax
    jz fltsim_copy_up
    cmpq %r8, %rax
    jb fltsim_memcpy_overlaps
    negq %rax
    cmpq %r8, %rax
    jae fltsim_copy_up
    .globl fltsim_memcpy_overlaps
    .hidden fltsim_memcpy_overlaps
fltsim_memcpy_overlaps:
    ud2
fltsim_copy_up:
    movq %rcx, %rax
1:  cmpq $16, %r8
    jb 2f
    movups (%rdx), %xmm0
    movups %xmm0, (%rcx)
    addq $16, %rdx
    addq $16, %rcx
    subq $16, %r8
    jmp 1b
2:  testq %r8, %r8
    jz 3f
    movb (%rdx), %r9b
    movb %r9b, (%rcx)
    incq %rdx
    incq %rcx
    decq %r8
    jmp 2b
3:  retq
    .cfi_endproc

// void *memmove(void *to, const void *from, size_t bytes): backwards when `to` lies inside the source
FUNCTION(fltsim_memmove)
    .cfi_startproc
    movq %rcx, %rax
    subq %rdx, %rax
    cmpq %r8, %rax
    jae fltsim_copy_up
    movq %rcx, %rax
1:  testq %r8, %r8
    jz 2f
    decq %r8
    movb (%rdx,%r8), %r9b
    movb %r9b, (%rcx,%r8)
    jmp 1b
2:  retq
    .cfi_endproc

// void *memset(void *at, int value, size_t bytes)
FUNCTION(fltsim_memset)
    .cfi_startproc
    movq %rcx, %rax
    movzbl %dl, %edx
    movabsq $0x0101010101010101, %r9
    imulq %r9, %rdx
1:  cmpq $8, %r8
    jb 2f
    movq %rdx, (%rcx)
    addq $8, %rcx
    subq $8, %r8
    jmp 1b
2:  testq %r8, %r8
    jz 3f
    movb %dl, (%rcx)
    incq %rcx
    decq %r8
    jmp 2b
3:  retq
    .cfi_endproc

// int memcmp(const void *a, const void *b, size_t bytes)
FUNCTION(fltsim_memcmp)
    .cfi_startproc
    xorl %eax, %eax
1:  testq %r8, %r8
    jz 2f
    movzbl (%rcx), %eax
    movzbl (%rdx), %r9d
    incq %rcx
    incq %rdx
    decq %r8
    subl %r9d, %eax
    jz 1b
2:  retq
    .cfi_endproc

// __chkstk: rax bytes are about to be taken from the stack; touches each page of them. Changes r10 and r11 alone.
FUNCTION(fltsim_chkstk)
    .cfi_startproc
    leaq 8(%rsp), %r10
    movq %rax, %r11
1:  cmpq $4096, %r11
    jb 2f
    subq $4096, %r10
    testb %al, (%r10)
    subq $4096, %r11
    jmp 1b
2:  retq
    .cfi_endproc

    .globl fltsim_runtime_end
    .hidden fltsim_runtime_end
fltsim_runtime_end:

// ---- where a fault continues: on the faulting thread's own stack, with rdi from the signal handler ---------------------------
FUNCTION(fltsim_fault_landing)
    .cfi_startproc
    .cfi_undefined rip
    callq fltsim_fault
    ud2
    .cfi_endproc

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
