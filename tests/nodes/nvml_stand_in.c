/* A stand-in for libnvidia-ml.so.1, for nodes without a GPU: the helper's ctypes calls load it and call it.
 *
 * NVML_STAND_IN names a text file, read anew at every call, with one line a GPU, in NVML's order:
 *   UUID NAME UTIL MEM_USED_MIB TEMP SLOWDOWN POWER_W LIMIT_W REASONS ECC REMAP_FAILED
 * A value of -R makes the call for that field return NVML's error code R; a UUID of -R the call for the handle. A UTIL
 * of 9999 never returns. A first line of !R makes the opening fail with R; no file: no driver is loaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID_ARGUMENT = 2, DRIVER_NOT_LOADED = 9 };

typedef struct {
    char uuid[80], name[64];
    long util, used, temp, slowdown, power, limit, reasons, ecc, remap;
} gpu_row;

static int opening = OK;

static int read_rows(gpu_row *rows, int most) {
    const char *path = getenv("NVML_STAND_IN");
    FILE *file = path ? fopen(path, "r") : NULL;
    int count = 0, code = 0;
    opening = file ? OK : DRIVER_NOT_LOADED;
    if (!file) return -1;
    if (fscanf(file, "!%d", &code) == 1) opening = code;
    while (count < most) {
        gpu_row *r = &rows[count];
        if (fscanf(file, "%79s %63s %ld %ld %ld %ld %ld %ld %ld %ld %ld", r->uuid, r->name, &r->util, &r->used, &r->temp,
                   &r->slowdown, &r->power, &r->limit, &r->reasons, &r->ecc, &r->remap) != 11) break;
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

int nvmlInit_v2(void) {
    gpu_row rows[16];
    read_rows(rows, 16);
    return opening;
}
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == 18 ? "Driver/library version mismatch" : "an error"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    gpu_row rows[16];
    *count = (unsigned)read_rows(rows, 16);
    return OK;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    gpu_row rows[16];
    if ((int)index >= read_rows(rows, 16)) return INVALID_ARGUMENT;
    if (rows[index].uuid[0] == '-') return atoi(rows[index].uuid + 1);
    *handle = (void *)(long)(index + 1);
    return OK;
}
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
int nvmlDeviceGetUtilizationRates(void *handle, unsigned *out) {
    ROW(handle);
    while (row.util == 9999) sleep(1000);
    FAIL_IF_NEGATIVE(row.util);
    out[0] = (unsigned)row.util;
    out[1] = 0;
    return OK;
}
int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *out) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.used);
    out[0] = 80ULL << 30;
    out[2] = (unsigned long long)row.used << 20;
    out[1] = out[0] - out[2];
    return OK;
}
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *out) {
    ROW(handle);
    if (sensor != 0) return INVALID_ARGUMENT;
    FAIL_IF_NEGATIVE(row.temp);
    *out = (unsigned)row.temp;
    return OK;
}
int nvmlDeviceGetTemperatureThreshold(void *handle, int threshold, unsigned *out) {
    ROW(handle);
    if (threshold != 1) return INVALID_ARGUMENT; /* where the GPU slows down */
    FAIL_IF_NEGATIVE(row.slowdown);
    *out = (unsigned)row.slowdown;
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
int nvmlDeviceGetRemappedRows(void *handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failed) {
    ROW(handle);
    FAIL_IF_NEGATIVE(row.remap);
    *corrected = *uncorrected = *pending = 0;
    *failed = (unsigned)row.remap;
    return OK;
}
