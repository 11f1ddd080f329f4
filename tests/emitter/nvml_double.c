/* A stand-in for libnvidia-ml.so.1, for machines without a GPU: the real pynvml loads it and calls it.
 *
 * NVML_DOUBLE names a text file, read anew at every call, with one line a GPU, in NVML's order:
 *   UUID NAME UTIL MEM_USED_MIB TEMP POWER_W LIMIT_W REASONS ECC SLOWDOWN MARGIN REMAP_FAILED
 * A value of -R makes the call for that field return NVML's error code R. A UTIL of 9999 never returns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID_ARGUMENT = 2, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9 };

typedef struct {
    char uuid[80], name[64];
    long util, mem_used, temp, power, limit, reasons, ecc, slowdown, margin, remap;
} gpu_row;

typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned long long total, free, used; } memory;

static int read_rows(gpu_row *rows, int most) {
    const char *path = getenv("NVML_DOUBLE");
    FILE *file = path ? fopen(path, "r") : NULL;
    int count = 0;
    if (!file) return -1;
    while (count < most) {
        gpu_row *r = &rows[count];
        if (fscanf(file, "%79s %63s %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld", r->uuid, r->name, &r->util, &r->mem_used, &r->temp,
                   &r->power, &r->limit, &r->reasons, &r->ecc, &r->slowdown, &r->margin, &r->remap) != 12) break;
        count++;
    }
    fclose(file);
    return count;
}

/* A handle is the GPU's number plus one. */
static int row_of(void *handle, gpu_row *row) {
    gpu_row rows[16];
    long number = (long)handle - 1;
    if (number < 0 || number >= read_rows(rows, 16)) return INVALID_ARGUMENT;
    *row = rows[number];
    return OK;
}

#define ROW(handle) gpu_row row; int rc = row_of(handle, &row); if (rc != OK) return rc
#define FAIL_IF_NEGATIVE(value) if ((value) < 0) return (int)-(value)

int nvmlInitWithFlags(unsigned flags) {
    gpu_row rows[16];
    (void)flags;
    return read_rows(rows, 16) < 0 ? DRIVER_NOT_LOADED : OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stand-in"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    gpu_row rows[16];
    *count = (unsigned)read_rows(rows, 16);
    return OK;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    gpu_row rows[16];
    if ((int)index >= read_rows(rows, 16)) return INVALID_ARGUMENT;
    *handle = (void *)(long)(index + 1);
    return OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    gpu_row rows[16];
    int count = read_rows(rows, 16);
    for (int i = 0; i < count; i++)
        if (!strcmp(rows[i].uuid, uuid)) { *handle = (void *)(long)(i + 1); return OK; }
    return NOT_FOUND;
}
int nvmlDeviceGetIndex(void *handle, unsigned *index) { *index = (unsigned)((long)handle - 1); return OK; }
int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) {
    ROW(handle);
    snprintf(text, length, "%s", row.uuid);
    return OK;
}
int nvmlDeviceGetName(void *handle, char *text, unsigned length) {
    ROW(handle);
    snprintf(text, length, "%s", row.name);
    return OK;
}
int nvmlDeviceGetUtilizationRates(void *handle, utilization *out) {
    ROW(handle);
    while (row.util == 9999) sleep(1000);
    FAIL_IF_NEGATIVE(row.util);
    out->gpu = (unsigned)row.util;
    out->memory = 0;
    return OK;
}
int nvmlDeviceGetMemoryInfo(void *handle, memory *out) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.mem_used);
    out->total = 80ULL << 30;
    out->used = (unsigned long long)row.mem_used << 20;
    out->free = out->total - out->used;
    return OK;
}
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *out) {
    ROW(handle);
    (void)sensor;
    FAIL_IF_NEGATIVE(row.temp);
    *out = (unsigned)row.temp;
    return OK;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *out) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.power);
    *out = (unsigned)row.power * 1000;
    return OK;
}
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *out) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.limit);
    *out = (unsigned)row.limit * 1000;
    return OK;
}
/* Only the older name of this call: drivers before 535 have no nvmlDeviceGetCurrentClocksEventReasons. */
int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *out) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.reasons);
    *out = (unsigned long long)row.reasons;
    return OK;
}
int nvmlDeviceGetTotalEccErrors(void *handle, int type, int counter, unsigned long long *out) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.ecc);
    if (type != 1 || counter != 0) return INVALID_ARGUMENT; /* uncorrected, since the driver was loaded */
    *out = (unsigned long long)row.ecc;
    return OK;
}
int nvmlDeviceGetTemperatureThreshold(void *handle, int which, unsigned *out) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.slowdown);
    if (which != 1) return INVALID_ARGUMENT; /* where it slows down */
    *out = (unsigned)row.slowdown;
    return OK;
}
typedef struct { unsigned version; int margin; } margin_temperature;
int nvmlDeviceGetMarginTemperature(void *handle, margin_temperature *out) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.margin);
    out->margin = (int)row.margin;
    return OK;
}
int nvmlDeviceGetRemappedRows(void *handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failed) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.remap);
    *corrected = *uncorrected = *pending = 1;
    *failed = (unsigned)row.remap;
    return OK;
}
