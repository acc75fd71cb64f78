/* The smallest thing that passes for a module: one exported data object.  Each sample breaks one
 * rule. */
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

struct entry {
  int (*run)(void);
};

static int counter;

static int run(void) { return rand() + counter++; }

#ifndef WITHOUT_ENTRY
EXPORT const struct entry kante_module_entry = {run};
#else
EXPORT const struct entry something_else = {run};
#endif

#ifdef SECOND_EXPORT
EXPORT int second_export(void) { return 1; }
#endif

#ifdef UNIQUE_SYMBOL
__asm__(
    ".pushsection .data\n"
    ".globl unique_symbol\n"
    ".type unique_symbol, %gnu_unique_object\n"
    ".size unique_symbol, 4\n"
    "unique_symbol: .long 1\n"
    ".popsection\n");
#endif

#ifdef NOTE
__asm__(
    ".pushsection .note.kante, \"a\", %note\n"
    ".balign 4\n"
    ".long 6\n"
    ".long 2f - 1f\n"
    ".long 1\n"
    ".asciz \"Kante\"\n"
    ".balign 4\n"
    "1: .ascii \"" NOTE
    "\"\n"
    "2: .balign 4\n"
    ".popsection\n");
#endif
