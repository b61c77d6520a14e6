/*
 * Many loop devices at once: attaches COUNT sparse images of 1 MiB, prints "ready", and takes them all away again when
 * its stdin ends, which it also does when whoever started it is killed.
 *
 *   many COUNT FOLDER
 *
 * Their numbers are ones that nobody had: LOOP_CTL_ADD refuses what there is. So what is removed is ours alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Beyond those that a search for a free device would come to soon. */
#define FIRST 4096
#define IMAGE_SIZE (1 << 20)
/* A removal takes the kernel 48 ms, most of it spent waiting. */
#define THREADS 32
#define TRIES 1000

static int control, count, *numbers;
static dev_t *devnums;
static const char *folder;
static atomic_int next, failed;

static int failure(const char *what) {
  perror(what);
  return -1;
}

static void names(int index, char *image, char *loop) {
  snprintf(image, 4096, "%s/many-%d.img", folder, index);
  snprintf(loop, 32, "/dev/loop%d", numbers[index]);
}

static int attach(int index) {
  static int candidate = FIRST;
  char image[4096], loop[32];
  while ((numbers[index] = ioctl(control, LOOP_CTL_ADD, candidate++)) < 0)
    if (errno != EEXIST) return failure("LOOP_CTL_ADD");
  names(index, image, loop);
  int file = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, IMAGE_SIZE) < 0) return failure(image);
  int device = open(loop, O_RDWR | O_CLOEXEC);
  if (device < 0) return failure(loop);
  struct loop_config config = {.fd = file, .block_size = 512};
  if (ioctl(device, LOOP_CONFIGURE, &config) < 0) return failure("LOOP_CONFIGURE");
  struct stat node;
  fstat(device, &node);
  devnums[index] = node.st_rdev;
  close(device);
  close(file);
  return 0;
}

static void *takeAway(void *unused) {
  (void)unused;
  for (int index; (index = next++) < count;) {
    if (numbers[index] < 0) continue;
    char image[4096], loop[32];
    names(index, image, loop);
    int device = open(loop, O_RDONLY | O_CLOEXEC);
    /* Its node can be deleted by anybody, which detaches nothing. */
    if (device < 0 && mknod(loop, S_IFBLK | 0600, devnums[index]) == 0) device = open(loop, O_RDONLY | O_CLOEXEC);
    if (device >= 0) {
      ioctl(device, LOOP_CLR_FD);
      close(device);
    }
    unlink(image);
    /* Whoever is looking at it just now holds it for a moment. */
    int tries = TRIES;
    while (ioctl(control, LOOP_CTL_REMOVE, numbers[index]) < 0 && errno == EBUSY && --tries) usleep(10000);
    if (tries) {
      /* The kernel takes only its own nodes away. */
      unlink(loop);
    } else {
      fprintf(stderr, "%s is busy and stays.\n", loop);
      failed = 1;
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  /* What ends whoever started it, on a terminal or by its process group, isn't to end this as well. */
  setsid();
  for (int s = 0; s < 4; s++) signal((int[]){SIGINT, SIGTERM, SIGHUP, SIGPIPE}[s], SIG_IGN);
  count = atoi(argv[1]);
  folder = argv[2];
  numbers = malloc(count * sizeof *numbers);
  devnums = calloc(count, sizeof *devnums);
  memset(numbers, -1, count * sizeof *numbers);
  control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0) return failure("/dev/loop-control") != 0;

  for (int index = 0; index < count && !failed; index++) failed = attach(index) < 0;
  if (!failed) {
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF);
  }
  pthread_t threads[THREADS];
  for (int n = 0; n < THREADS; n++)
    if (pthread_create(&threads[n], NULL, takeAway, NULL)) return 1;
  for (int n = 0; n < THREADS; n++) pthread_join(threads[n], NULL);
  return failed;
}
