#include "channels/base/must.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void must_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "fatal must_failed at=%s:%d condition=\"%s\"\n", file, line, condition);
    abort();
}
