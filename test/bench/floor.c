/*
 * The floor: the ioctls of one attach and detach, N times, as fast as they go. Prints the nanoseconds of each.
 *
 *   floor IMAGE N
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
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

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  for (int left = atoi(argv[2]); left > 0; left--) {
    long long begun = now();
    int image = open(argv[1], O_RDWR | O_CLOEXEC);
    if (image < 0) fail("open image");
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0 || flock(control, LOCK_EX) < 0) fail("control");
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) fail("LOOP_CTL_GET_FREE");
    char path[32];
    snprintf(path, sizeof path, "/dev/loop%d", number);
    int loop = open(path, O_RDWR | O_CLOEXEC);
    if (loop < 0) fail(path);
    struct loop_config config = {
      .fd = image, .block_size = 512,
      .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN | LO_FLAGS_DIRECT_IO,
    };
    if (ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
      if (errno != EBUSY) fail("LOOP_CONFIGURE");
      close(loop), close(control), close(image), left++;
      continue;
    }
    close(control);
    struct loop_info64 info;
    if (ioctl(loop, LOOP_GET_STATUS64, &info) < 0) fail("LOOP_GET_STATUS64");
    info.lo_flags &= ~LO_FLAGS_AUTOCLEAR;
    if (ioctl(loop, LOOP_SET_STATUS64, &info) < 0) fail("LOOP_SET_STATUS64");
    close(loop);
    close(image);

    loop = open(path, O_RDONLY | O_CLOEXEC);
    if (loop < 0 || fsync(loop) < 0 || flock(loop, LOCK_EX) < 0) fail("lock");
    if (ioctl(loop, LOOP_CLR_FD) < 0) fail("LOOP_CLR_FD");
    close(loop);
    printf("%lld\n", now() - begun);
  }
}
