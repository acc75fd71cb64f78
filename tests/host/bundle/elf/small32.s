/* A 32-bit module in assembler, with one relocation; its machine number is changed by the test. */
    .section .data.rel.ro, "aw"
    .globl kante_module_entry
    .type kante_module_entry, @object
    .size kante_module_entry, 4
kante_module_entry:
    .long 1f
    .section .rodata
1:  .long 7
    .section .note.GNU-stack, "", @progbits
