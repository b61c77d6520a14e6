/*
 * Many clients of losetup(8) at once: CLIENTS processes attach and detach FOLDER/theirs-N.img for SECONDS, by
 * `losetup -f --show` and `losetup -d`. Prints the nanoseconds of each round, then of the whole.
 *
 *   race CLIENTS SECONDS FOLDER
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Runs losetup, and returns whether it did it. What it prints goes to `said`, without the line's end. */
static int losetup(const char *first, const char *second, const char *third, char *said, size_t size) {
  int ends[2];
  if (pipe(ends) < 0) exit(1);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    close(2);
    open("/dev/null", O_WRONLY);
    close(ends[0]);
    close(ends[1]);
    execlp("losetup", "losetup", first, second, third, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  size_t length = 0;
  ssize_t got;
  while ((got = read(ends[0], said + length, size - 1 - length)) > 0) length += got;
  said[length] = 0;
  said[strcspn(said, "\n")] = 0;
  close(ends[0]);
  int status;
  return waitpid(child, &status, 0) == child && status == 0;
}

static void client(int index, long long end, const char *folder) {
  char image[4096], device[64], nothing[64];
  snprintf(image, sizeof image, "%s/theirs-%d.img", folder, index);
  for (long long begun; (begun = now()) < end;) {
    /* Beaten by others too often, it gives up; its user tries again. */
    for (int tries = 0; !losetup("-f", "--show", image, device, sizeof device); tries++)
      if (tries == 100) exit(1);
    if (!losetup("-d", device, NULL, nothing, sizeof nothing)) exit(1);
    dprintf(1, "%lld\n", now() - begun);
  }
  exit(0);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int clients = atoi(argv[1]), failed = 0, status;
  long long begun = now(), end = begun + atoi(argv[2]) * 1000000000LL;
  for (int index = 0; index < clients; index++)
    if (fork() == 0) client(index, end, argv[3]);
  while (wait(&status) > 0) failed |= status;
  printf("%lld\n", now() - begun);
  return failed != 0;
}
