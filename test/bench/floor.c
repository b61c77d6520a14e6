/*
 * The floor: one attach and detach N times, with the ioctls and the locks of ours and the looks at other devices that
 * they can't do without, as fast as C goes. Prints the nanoseconds of each.
 *
 *   floor IMAGE N
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int lock_control(void) {
  int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0 || flock(control, LOCK_EX) < 0) fail("control");
  return control;
}

/* Which of the bound devices has this image, or -1. */
static int bound_to(const char *image) {
  DIR *disks = opendir("/sys/devices/virtual/block");
  if (!disks) fail("/sys");
  int found = -1, number;
  for (struct dirent *disk; (disk = readdir(disks));) {
    char path[512], shown[4096];
    if (sscanf(disk->d_name, "loop%d", &number) != 1) continue;
    snprintf(path, sizeof path, "%s/loop", disk->d_name);
    if (faccessat(dirfd(disks), path, F_OK, 0) < 0) continue;
    strcat(path, "/backing_file");
    int file = openat(dirfd(disks), path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, shown, sizeof shown);
    close(file);
    if (length > 0 && (size_t)length - 1 == strlen(image) && !memcmp(shown, image, length - 1)) found = number;
  }
  closedir(disks);
  return found;
}

static void read_mounts(void) {
  static char bytes[1 << 16];
  int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  while (read(mounts, bytes, sizeof bytes) > 0);
  close(mounts);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  for (int left = atoi(argv[2]); left > 0; left--) {
    long long begun = now();
    struct loop_info64 info;
    char path[32];
    int image = open(argv[1], O_RDWR | O_CLOEXEC);
    if (image < 0) fail("open image");
    int control = lock_control();
    if (bound_to(argv[1]) >= 0) fail("attached already");
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) fail("LOOP_CTL_GET_FREE");
    snprintf(path, sizeof path, "/dev/loop%d", number);
    int loop = open(path, O_RDWR | O_CLOEXEC);
    int lock = open(path, O_RDONLY | O_CLOEXEC);
    if (loop < 0 || lock < 0 || flock(lock, LOCK_EX) < 0) fail(path);
    struct loop_config config = {
      .fd = image, .block_size = 512, .info.lo_flags = LO_FLAGS_PARTSCAN | LO_FLAGS_DIRECT_IO,
    };
    if (ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
      if (errno != EBUSY) fail("LOOP_CONFIGURE");
      close(lock), close(loop), close(control), close(image), left++;
      continue;
    }
    close(control);
    if (ioctl(loop, LOOP_GET_STATUS64, &info) < 0) fail("LOOP_GET_STATUS64");
    close(lock);
    close(loop);
    close(image);

    loop = open(path, O_RDONLY | O_CLOEXEC);
    if (loop < 0 || ioctl(loop, LOOP_GET_STATUS64, &info) < 0) fail(path);
    read_mounts();
    if (bound_to(path) >= 0) fail("another loop device stands on it");
    if (fsync(loop) < 0) fail("fsync");
    control = lock_control();
    if (flock(loop, LOCK_EX) < 0 || ioctl(loop, LOOP_CLR_FD) < 0) fail("LOOP_CLR_FD");
    /* Somebody who just looks may keep it for a moment longer. */
    ioctl(loop, LOOP_GET_STATUS64, &info);
    close(control);
    close(loop);
    printf("%lld\n", now() - begun);
  }
}
