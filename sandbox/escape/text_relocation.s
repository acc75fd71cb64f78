# A word of text that the loader has to write: a library that needs its text to be writable for a while.
        .text
        .globl  kante_escape_text
        .quad   kante_module_entry
        .section .note.GNU-stack,"",%progbits
