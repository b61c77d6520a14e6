/*
 * Another program that changes something, and the least that can be done to hear of it: for every line on stdin it
 * attaches or detaches IMAGE in turn, and listens on netlink(7) for the kernel's word. Prints when it began and when it
 * heard, in nanoseconds of CLOCK_MONOTONIC.
 *
 *   change IMAGE
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The group of what the kernel itself sends. */
#define KERNEL_GROUP 1

static int events;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* "change@/devices/virtual/block/loop3" is how an event of /dev/loop3 begins. */
static void awaitEvent(int number) {
  char text[8192], wanted[32];
  snprintf(wanted, sizeof wanted, "/block/loop%d", number);
  for (;;) {
    ssize_t length = recv(events, text, sizeof text - 1, 0);
    if (length < 0) fail("recv");
    text[length] = 0;
    char *found = strstr(text, wanted);
    if (found && !strcmp(found, wanted)) return;
  }
}

static void forgetEvents(void) {
  char text[8192];
  while (recv(events, text, sizeof text, MSG_DONTWAIT) >= 0);
}

static long long attach(const char *image, int *number) {
  int file = open(image, O_RDWR | O_CLOEXEC);
  int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (file < 0 || control < 0) fail(image);
  for (;;) {
    if ((*number = ioctl(control, LOOP_CTL_GET_FREE)) < 0) fail("LOOP_CTL_GET_FREE");
    char path[32];
    snprintf(path, sizeof path, "/dev/loop%d", *number);
    int device = open(path, O_RDWR | O_CLOEXEC);
    if (device < 0) fail(path);
    struct loop_config config = {.fd = file, .block_size = 512};
    forgetEvents();
    long long begun = now();
    int taken = ioctl(device, LOOP_CONFIGURE, &config);
    if (taken < 0 && errno != EBUSY) fail("LOOP_CONFIGURE");
    close(device);
    if (taken < 0) continue;
    close(control);
    close(file);
    return begun;
  }
}

static long long detach(int number) {
  char path[32];
  snprintf(path, sizeof path, "/dev/loop%d", number);
  int device = open(path, O_RDONLY | O_CLOEXEC);
  if (device < 0) fail(path);
  forgetEvents();
  long long begun = now();
  if (ioctl(device, LOOP_CLR_FD) < 0) fail("LOOP_CLR_FD");
  close(device);
  return begun;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
  if (events < 0 || bind(events, (struct sockaddr *)&address, sizeof address) < 0) fail("netlink");

  int number = -1;
  for (int letter; (letter = getchar()) != EOF;) {
    if (letter != '\n') continue;
    int was = number;
    long long begun;
    if (was < 0) {
      begun = attach(argv[1], &number);
    } else {
      begun = detach(was);
      number = -1;
    }
    awaitEvent(was < 0 ? number : was);
    printf("%lld %lld\n", begun, now());
    fflush(stdout);
  }
  if (number >= 0) detach(number);
}
