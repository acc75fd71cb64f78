// Nothing: a library that probe_runner.c is linked with.
int kanteProbeLibrary(void);
int kanteProbeLibrary(void) { return 0; }
