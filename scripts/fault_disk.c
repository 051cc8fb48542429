/*
 * A disk that forgets, fills up or breaks, for one process and one directory:
 * preloaded in front of the C library.
 *
 *   FAULT_DISK_DIR      absolute path; only files below it are touched
 *   FAULT_DISK_CONTROL  directory: while it holds a file "full", writes that grow a file fail with
 *                       ENOSPC; while it holds "eio", writes and syncs fail with EIO
 *   FAULT_DISK_JOURNAL  file: what every write and truncation replaced is appended here, and every
 *                       sync that came after. Undoing what was never synced, newest first, gives the
 *                       disk as a power cut would have left it.
 *
 * Journal record, native byte order: kind u32 (1 write, 2 truncate, 3 sync), path length u32,
 * offset u64, size of the file before u64, length of old bytes u64; then path, then old bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 4096

struct record {
    uint32_t kind;
    uint32_t path_len;
    uint64_t offset;
    uint64_t old_size;
    uint64_t old_len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FDS_MAX];
static const char *watched_dir;
static const char *control_dir;
static int journal = -1;
static int is_ready;

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static void prepare(void) {
    if (is_ready) return;
    is_ready = 1;
    watched_dir = getenv("FAULT_DISK_DIR");
    control_dir = getenv("FAULT_DISK_CONTROL");
    const char *path = getenv("FAULT_DISK_JOURNAL");
    if (path) journal = REAL(open)(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
}

static int is_on(const char *name) {
    char path[4096];
    if (!control_dir) return 0;
    snprintf(path, sizeof path, "%s/%s", control_dir, name);
    int saved = errno;
    int found = access(path, F_OK) == 0;
    errno = saved;
    return found;
}

static const char *path_of(int fd) {
    return fd >= 0 && fd < FDS_MAX ? paths[fd] : NULL;
}

static void note(int fd, const char *path) {
    prepare();
    if (fd < 0 || fd >= FDS_MAX || !watched_dir || !path) return;
    if (strncmp(path, watched_dir, strlen(watched_dir)) != 0) return;
    /* The shared-memory index is rebuilt after a crash and is never synced: leave it alone. */
    size_t len = strlen(path);
    if (len > 4 && strcmp(path + len - 4, "-shm") == 0) return;
    pthread_mutex_lock(&lock);
    free(paths[fd]);
    paths[fd] = strdup(path);
    pthread_mutex_unlock(&lock);
}

/* Called with the lock held. */
static void record(uint32_t kind, int fd, uint64_t offset, uint64_t len) {
    if (journal < 0) return;
    struct stat status;
    if (fstat(fd, &status) != 0) return;
    uint64_t size = (uint64_t)status.st_size;
    uint64_t old_len = offset >= size ? 0 : (size - offset < len ? size - offset : len);
    struct record head = {kind, (uint32_t)strlen(paths[fd]), offset, size, old_len};
    char *old = malloc(old_len ? old_len : 1);
    if (!old) abort();
    if (old_len) {
        int reader = REAL(open)(paths[fd], O_RDONLY | O_CLOEXEC);
        if (reader < 0 || pread(reader, old, old_len, (off_t)offset) != (ssize_t)old_len) abort();
        REAL(close)(reader);
    }
    struct iovec parts[3] = {
        {&head, sizeof head}, {paths[fd], head.path_len}, {old, old_len}};
    ssize_t wanted = (ssize_t)(sizeof head + head.path_len + old_len);
    if (writev(journal, parts, 3) != wanted) abort();
    free(old);
}

/* Decides a write of len bytes at offset; 0 lets it through. Called with the lock held. */
static int refuse(int fd, uint64_t offset, uint64_t len) {
    struct stat status;
    if (is_on("eio")) return EIO;
    if (is_on("full") && fstat(fd, &status) == 0 && offset + len > (uint64_t)status.st_size)
        return ENOSPC;
    return 0;
}

static ssize_t guarded_pwrite(int fd, const void *bytes, size_t len, off_t offset) {
    pthread_mutex_lock(&lock);
    int error = refuse(fd, (uint64_t)offset, len);
    ssize_t n = -1;
    if (!error) {
        record(1, fd, (uint64_t)offset, len);
        n = REAL(pwrite)(fd, bytes, len, offset);
        error = errno;
    }
    pthread_mutex_unlock(&lock);
    if (n < 0) errno = error;
    return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset) {
    if (!path_of(fd)) return REAL(pwrite)(fd, bytes, len, offset);
    return guarded_pwrite(fd, bytes, len, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset) {
    if (!path_of(fd)) return REAL(pwrite64)(fd, bytes, len, offset);
    return guarded_pwrite(fd, bytes, len, (off_t)offset);
}

ssize_t write(int fd, const void *bytes, size_t len) {
    if (!path_of(fd)) return REAL(write)(fd, bytes, len);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t n = guarded_pwrite(fd, bytes, len, offset);
    if (n > 0) lseek(fd, offset + n, SEEK_SET);
    return n;
}

static int guarded_truncate(int fd, off_t len) {
    pthread_mutex_lock(&lock);
    int error = is_on("eio") ? EIO : 0;
    int result = -1;
    if (!error) {
        record(2, fd, (uint64_t)len, UINT64_MAX);
        result = REAL(ftruncate)(fd, len);
        error = errno;
    }
    pthread_mutex_unlock(&lock);
    if (result < 0) errno = error;
    return result;
}

int ftruncate(int fd, off_t len) {
    return path_of(fd) ? guarded_truncate(fd, len) : REAL(ftruncate)(fd, len);
}

int ftruncate64(int fd, off64_t len) {
    return path_of(fd) ? guarded_truncate(fd, (off_t)len) : REAL(ftruncate64)(fd, len);
}

static int guarded_sync(int fd, int (*sync)(int)) {
    if (!path_of(fd)) return sync(fd);
    if (is_on("eio")) {
        errno = EIO;
        return -1;
    }
    int result = sync(fd);
    if (result == 0) {
        pthread_mutex_lock(&lock);
        record(3, fd, 0, 0);
        pthread_mutex_unlock(&lock);
    }
    return result;
}

int fsync(int fd) { return guarded_sync(fd, REAL(fsync)); }
int fdatasync(int fd) { return guarded_sync(fd, REAL(fdatasync)); }

int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(args, mode_t) : 0;
    va_end(args);
    int fd = REAL(open)(path, flags, mode);
    note(fd, path);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(args, mode_t) : 0;
    va_end(args);
    int fd = REAL(open64)(path, flags, mode);
    note(fd, path);
    return fd;
}

int close(int fd) {
    if (path_of(fd)) {
        pthread_mutex_lock(&lock);
        free(paths[fd]);
        paths[fd] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return REAL(close)(fd);
}
