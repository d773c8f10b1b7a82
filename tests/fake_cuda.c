/* A CUDA driver that answers what the environment says, so that every "no GPU" state can be had without a GPU.
 *
 * FAKE_CUDA_INIT: what cuInit returns; FAKE_CUDA_VERSION: the CUDA that the driver supports, 13000 for 13.0;
 * FAKE_CUDA_COUNT: how many devices there are. Built by tests/test_backends_cuda.py as libcuda.so.1.
 */
#include <stdlib.h>
#include <string.h>

static int setting(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

int cuInit(unsigned flags) {
    (void)flags;
    return setting("FAKE_CUDA_INIT", 0);
}

int cuDriverGetVersion(int *version) {
    *version = setting("FAKE_CUDA_VERSION", 99000);
    return 0;
}

int cuDeviceGetCount(int *count) {
    *count = setting("FAKE_CUDA_COUNT", 0);
    return 0;
}

/* Everything else fails with "unknown error". */
static int unknown(void) { return 999; }

int cuGetExportTable(const void **table, const void *id) {
    (void)table;
    (void)id;
    return 999;
}

int cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags, int *status) {
    (void)version;
    (void)flags;
    if (status) *status = 0;
    if (!strcmp(symbol, "cuInit")) *function = (void *)cuInit;
    else if (!strcmp(symbol, "cuDriverGetVersion")) *function = (void *)cuDriverGetVersion;
    else if (!strcmp(symbol, "cuDeviceGetCount")) *function = (void *)cuDeviceGetCount;
    else if (!strcmp(symbol, "cuGetProcAddress")) *function = (void *)cuGetProcAddress_v2;
    else *function = (void *)unknown;
    return 0;
}

int cuGetProcAddress(const char *symbol, void **function, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, 0);
}
