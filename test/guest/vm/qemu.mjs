/**
 * The command line of the guest's machine.
 */

/** Our ends of the guest's three output ports, as QEMU's file descriptors. */
export const STDIO = { out: 3, err: 4, control: 5 };

/**
 * @param {import("./setup.mjs").Guest} guest
 * @param {object} options
 * @param {string} options.control the folder with what the guest is to do
 * @param {string} options.share the folder that the guest may write to
 * @param {string} options.console the file that its console goes to
 * @param {number} options.memoryMiB
 * @returns {string[]} to be started with a socket at each file descriptor of STDIO
 */
export function qemuCommand({ kernel, initramfs }, { control, share, console, memoryMiB }) {
  return [
    // Whatever becomes of us, even SIGKILL: no machine is left behind.
    ["setpriv", "--pdeathsig", "KILL"],
    ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    // Emulation and nothing else: where /dev/kvm exists but doesn't work, QEMU hangs.
    ["-machine", "q35", "-accel", "tcg,tb-size=1024", "-cpu", "max"],
    // With two processors one boot in a hundred dies, as the emulator races with the kernel patching its own code.
    ["-smp", "1"],
    ["-m", `${memoryMiB}`],
    ["-kernel", kernel.image, "-initrd", initramfs],
    // An oops of the kernel is a failure even where it could limp on.
    ["-append", "console=ttyS0 quiet panic=-1 oops=panic"],
    ["-chardev", `file,id=console,path=${escapeCommas(console)}`, "-serial", "chardev:console"],
    ["-device", "virtio-serial-pci"],
    port("out", STDIO.out),
    port("err", STDIO.err),
    port("control", STDIO.control),
    folder("host", "/", "readonly=on,multidevs=remap"),
    folder("modules", kernel.modules, "readonly=on"),
    folder("control", control, "readonly=on"),
    folder("share", share, "readonly=off"),
  ].flat();
}

/**
 * @param {string} name
 * @param {number} fd
 */
function port(name, fd) {
  return ["-chardev", `socket,id=${name},fd=${fd}`, "-device", `virtserialport,chardev=${name},name=${name}`];
}

/**
 * @param {string} tag what the guest mounts it by
 * @param {string} path
 * @param {string} options
 */
function folder(tag, path, options) {
  const share = `local,id=${tag},path=${escapeCommas(path)},security_model=none,${options}`;
  return ["-fsdev", share, "-device", `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`];
}

/** @param {string} path */
function escapeCommas(path) {
  return path.replaceAll(",", ",,");
}
