/* The right name, but code. */
__attribute__((visibility("default"))) int kante_module_entry(void) { return 0; }
