// Loaded by children that have confined themselves.
static int s_answer;

__attribute__((constructor)) static void begin(void) { s_answer = 42; }

int answer(void);
int answer(void) { return s_answer; }
