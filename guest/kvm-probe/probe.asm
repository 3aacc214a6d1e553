; The probe guest: does an accelerator run what firmware and kernels are made of?
;
; Started as a 64 KiB ROM (qemu -bios), without any firmware: the processor begins at the reset vector, 16 bytes below
; 4 GiB, in real mode (Intel SDM 3A, 10.1.4). Each stage does its work, checks the result, and only then writes its
; letter to port 0xe9 (isa-debugcon). At the end it writes to port 0xf4 (isa-debug-exit); QEMU then exits with status
; (value << 1) | 1.
;
;   R  real mode: the reset vector ran
;   P  protected mode, 32 bits, flat segments; page tables written with rep stosd
;   G  paging, with physical address extension
;   L  long mode, and a 64-bit multiplication
;   X  x87: fwait, fninit, fldcw, arithmetic. OVMF does this in its first thousand instructions, SeaBIOS never;
;      KVM without processor support interprets guest code, and stops with an internal error here
;   S  SSE2: movdqu, paddq, divsd
;   T  ten million turns of a loop: an interpreter passes all else and would take minutes to start Linux
;
; A wrong result writes "!" and exits with FAILED. An exception finds no interrupt table: triple fault, reset, and
; under -no-reboot the end of QEMU with status 0.
;
; Build: nasm -f bin -o probe.bin probe.asm. The output is the last ROM_TAIL bytes of the ROM; what stands before
; them is never run. `src/host/kvm-probe-rom.ts` holds these bytes, and a test holds the two equal.

ROM_TAIL        equ 1024
DEBUGCON        equ 0xe9
DEBUG_EXIT      equ 0xf4
PASSED          equ 0x2a                ; exit status 0x55
FAILED          equ 0x01                ; exit status 3

TURNS           equ 10000000

; Memory that the probe uses. QEMU gives it 64 MiB.
PML4            equ 0x1000
PDPT            equ 0x2000
PD_LOW          equ 0x3000              ; first GiB: scratch
PD_HIGH         equ 0x4000              ; fourth GiB: this ROM
SCRATCH         equ 0x8000

PAGE_TABLE      equ 0x03                ; present, writable
PAGE_2M         equ 0x83                ; present, writable, 2 MiB

CR0_PE          equ 1 << 0
CR0_MP          equ 1 << 1
CR0_EM          equ 1 << 2
CR0_TS          equ 1 << 3
CR0_NE          equ 1 << 5
CR0_CD          equ 1 << 30
CR0_NW          equ 1 << 29
CR0_PG          equ 1 << 31
CR4_PAE         equ 1 << 5
CR4_OSFXSR      equ 1 << 9
CR4_OSXMMEXCPT  equ 1 << 10
MSR_EFER        equ 0xc0000080
EFER_LME        equ 1 << 8
EFER_LMA        equ 1 << 10

CODE32          equ gdt.code32 - gdt
DATA            equ gdt.data - gdt
CODE64          equ gdt.code64 - gdt

%macro letter 1                         ; a stage is passed
        mov     al, %1
        out     DEBUGCON, al
%endmacro

        org     0x100000000 - ROM_TAIL

; ---------------------------------------------------------------------------------------------- R: real mode
        bits    16
start:
        cli
        letter  'R'
        ; CS still has the base of the reset, 0xffff0000, so the table is found through it, with a 16-bit offset.
        o32 lgdt [cs:gdt_register - $$ + 0x10000 - ROM_TAIL]
        mov     eax, cr0
        and     eax, ~(CR0_CD | CR0_NW)
        or      eax, CR0_PE
        mov     cr0, eax
        jmp     dword CODE32:protected

; ---------------------------------------------------------------------------------------- P: protected mode
        bits    32
protected:
        mov     eax, DATA
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        cld
        xor     eax, eax
        mov     edi, PML4
        mov     ecx, (PD_HIGH + 0x1000 - PML4) / 4
        rep stosd
        cmp     edi, PD_HIGH + 0x1000
        jne     wrong32
        ; Identity map of the first 2 MiB and, for this code, of the last 2 MiB below 4 GiB.
        mov     dword [PML4], PDPT | PAGE_TABLE
        mov     dword [PDPT], PD_LOW | PAGE_TABLE
        mov     dword [PDPT + 3 * 8], PD_HIGH | PAGE_TABLE
        mov     dword [PD_LOW], PAGE_2M
        mov     dword [PD_HIGH + 511 * 8], 0xffe00000 | PAGE_2M
        letter  'P'

; -------------------------------------------------------------------------------------------------- G: paging
        mov     eax, cr4
        or      eax, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT
        mov     cr4, eax
        mov     eax, PML4
        mov     cr3, eax
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_LME
        wrmsr
        mov     eax, cr0
        and     eax, ~(CR0_EM | CR0_TS)
        or      eax, CR0_PG | CR0_MP | CR0_NE
        mov     cr0, eax
        mov     dword [SCRATCH], 0x600df00d     ; through the new tables
        cmp     dword [SCRATCH], 0x600df00d
        jne     wrong32
        mov     ecx, MSR_EFER
        rdmsr
        test    eax, EFER_LMA
        jz      wrong32
        letter  'G'
        jmp     CODE64:long_mode
wrong32:
        letter  '!'
        mov     al, FAILED
        out     DEBUG_EXIT, al
        hlt

; ----------------------------------------------------------------------------------------------- L: long mode
        bits    64
        default abs
long_mode:
        mov     rax, 0x100000001
        mov     rbx, 0xffffffff
        mul     rbx                             ; (2^32 + 1)(2^32 - 1) = 2^64 - 1
        test    rdx, rdx
        jnz     wrong
        inc     rax
        jnz     wrong
        letter  'L'

; ----------------------------------------------------------------------------------------------------- X: x87
        mov     ebx, SCRATCH
        fwait
        fninit
        mov     word [rbx], 0x037f              ; all exceptions masked, 64-bit precision, round to nearest
        fldcw   [rbx]
        mov     dword [rbx + 4], 355
        mov     dword [rbx + 8], 113
        fild    dword [rbx + 4]
        fidiv   dword [rbx + 8]
        fimul   dword [rbx + 8]
        fsqrt
        fmul    st0, st0
        fistp   dword [rbx + 12]                ; sqrt(355 / 113 * 113) squared
        fwait
        cmp     dword [rbx + 12], 355
        jne     wrong
        letter  'X'

; ---------------------------------------------------------------------------------------------------- S: SSE2
        mov     rax, 0x00000000ffffffff
        mov     [rbx], rax
        mov     rax, 0xffffffffffffffff
        mov     [rbx + 8], rax
        movdqu  xmm0, [rbx]
        pcmpeqd xmm1, xmm1
        psrlq   xmm1, 63                        ; 1, 1
        paddq   xmm0, xmm1
        movdqu  [rbx], xmm0
        mov     rax, 0x0000000100000000         ; the carry crossed bit 32, and not bit 64
        cmp     [rbx], rax
        jne     wrong
        cmp     qword [rbx + 8], 0
        jne     wrong
        mov     eax, 42
        cvtsi2sd xmm2, eax
        mov     eax, 6
        cvtsi2sd xmm3, eax
        divsd   xmm2, xmm3
        cvtsd2si eax, xmm2
        cmp     eax, 7
        jne     wrong
        letter  'S'

; --------------------------------------------------------------------------------------------------- T: turns
        mov     ecx, TURNS
        xor     eax, eax
.turn:
        add     rax, rcx
        dec     rcx
        jnz     .turn
        mov     rbx, TURNS / 2 * (TURNS + 1)    ; 1 + 2 + ... + TURNS
        cmp     rax, rbx
        jne     wrong
        letter  'T'

        mov     al, PASSED
        out     DEBUG_EXIT, al
        hlt
wrong:
        letter  '!'
        mov     al, FAILED
        out     DEBUG_EXIT, al
        hlt

; ----------------------------------------------------------------------------------------------------- segments
; "Accessed" is already set in each: a processor that finds it clear writes it, and this table stands in ROM.
        align   8
gdt:
        dq      0
.code32: dq     0x00cf9b000000ffff              ; base 0, limit 4 GiB, execute and read, 32 bits
.data:  dq      0x00cf93000000ffff              ; base 0, limit 4 GiB, read and write
.code64: dq     0x00af9b000000ffff              ; execute and read, 64 bits
gdt_register:
        dw      gdt_register - gdt - 1
        dd      gdt

        times   ROM_TAIL - 16 - ($ - $$) db 0xf4  ; hlt

; ------------------------------------------------------------------------------------- reset vector, 0xfffffff0
        bits    16
        jmp     near start
        times   ROM_TAIL - ($ - $$) db 0xf4
