/* The wall clock of one process, moved by as many nanoseconds as a file says. Preloaded, it stands before the C library's own, which Rust's
 * std, SQLite and whoever asks with time() go through. Clocks that cannot be set stay as they are; so does timespec_get(), whose times are
 * deadlines that the kernel compares with its own clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

static const volatile int64_t *ahead_ns;
static int (*read_clock)(clockid_t, struct timespec *);

/* A clock that never moves would be a fault that is never done. */
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("GPUSHER_FAULTS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = mmap(NULL, sizeof *ahead_ns, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) {
        perror("GPUSHER_FAULTS_CLOCK names no file");
        _exit(127);
    }
    close(file);
    read_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    ahead_ns = page;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = read_clock ? read_clock(clock, at) : (int)syscall(SYS_clock_gettime, clock, at);
    if (result == 0 && ahead_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = at->tv_sec * SECOND_NS + at->tv_nsec + *ahead_ns;
        at->tv_sec = ns / SECOND_NS;
        at->tv_nsec = ns % SECOND_NS;
    }
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return at ? (*at = now.tv_sec) : now.tv_sec;
}
