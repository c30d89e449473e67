/* A machine whose disk and clock misbehave for one process: preloaded into it, and told what to do through a file
 * that both have in memory. What is under no directory of the test is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* In the order in which the test writes them. */
struct orders {
    volatile int64_t write_error, sync_error, sync_ms, clock_ms;
};

static struct orders nothing, *orders = &nothing;
static const char *under;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS_ORDERS");
    under = getenv("FAULTS_UNDER");
    int fd = path && under ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        fprintf(stderr, "no orders for the machine\n");
        abort();
    }
    void *map = mmap(NULL, sizeof *orders, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    orders = map;
    close(fd);
}

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

static int is_ours(const char *path)
{
    return under && strncmp(path, under, strlen(under)) == 0;
}

static int is_open_ours(int fd)
{
    char link[64], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_ours(path);
}

/* Nothing more can be written to what is open. */
static int fails_to_write(int fd)
{
    int64_t error = orders->write_error;
    if (!error || !is_open_ours(fd))
        return 0;
    errno = (int)error;
    return 1;
}

/* Nothing can be made; where nothing can be changed, nothing can be opened to be changed either. */
static int fails_to_make(const char *path, int flags)
{
    int64_t error = orders->write_error;
    if (!error || !is_ours(path))
        return 0;
    int before = errno;
    int makes = (flags & O_CREAT) && access(path, F_OK) != 0;
    errno = before;
    int changes = error == EROFS && (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC));
    if (!makes && !changes)
        return 0;
    errno = (int)error;
    return 1;
}

static int fails_to_change(const char *path)
{
    if (orders->write_error != EROFS || !is_ours(path))
        return 0;
    errno = EROFS;
    return 1;
}

static int fails_to_sync(int fd)
{
    int64_t ms = orders->sync_ms, error = orders->sync_error;
    if ((!ms && !error) || !is_open_ours(fd))
        return 0;
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
    if (!error)
        return 0;
    errno = (int)error;
    return 1;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        mode_t mode = 0;                                                                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                                           \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
        return fails_to_make(path, flags) ? -1 : REAL(name)(path, flags, mode);                                        \
    }
OPEN(open)
OPEN(open64)

int mkdir(const char *path, mode_t mode) { return fails_to_make(path, O_CREAT) ? -1 : REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { return fails_to_change(from) ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return fails_to_change(path) ? -1 : REAL(unlink)(path); }
int rmdir(const char *path) { return fails_to_change(path) ? -1 : REAL(rmdir)(path); }

ssize_t write(int fd, const void *bytes, size_t count)
{
    return fails_to_write(fd) ? -1 : REAL(write)(fd, bytes, count);
}
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fails_to_write(fd) ? -1 : REAL(writev)(fd, parts, count);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    return fails_to_write(fd) ? -1 : REAL(pwrite)(fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    return fails_to_write(fd) ? -1 : REAL(pwrite64)(fd, bytes, count, at);
}
int ftruncate(int fd, off_t length) { return fails_to_write(fd) ? -1 : REAL(ftruncate)(fd, length); }
int ftruncate64(int fd, off64_t length) { return fails_to_write(fd) ? -1 : REAL(ftruncate64)(fd, length); }
int fsync(int fd) { return fails_to_sync(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails_to_sync(fd) ? -1 : REAL(fdatasync)(fd); }

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = REAL(clock_gettime)(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += orders->clock_ms / 1000;
    return result;
}
