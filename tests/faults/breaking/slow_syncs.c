/* A slow disk: preloaded, it makes fsync and fdatasync take as long as the file says that
 * FAULTS_SYNC names (nanoseconds, 8 bytes), before they do their work. Who waits sees a change.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STEP 5000000

static const volatile int64_t *duration;

__attribute__((constructor)) static void map_duration(void)
{
    const char *path = getenv("FAULTS_SYNC");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof *duration, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED)
        duration = page;
    close(file);
}

static void wait_for_disk(void)
{
    const struct timespec step = {0, STEP};
    for (int64_t waited = 0; duration && waited < *duration; waited += STEP)
        nanosleep(&step, NULL);
}

int fdatasync(int file)
{
    wait_for_disk();
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file)
{
    wait_for_disk();
    return (int)syscall(SYS_fsync, file);
}
