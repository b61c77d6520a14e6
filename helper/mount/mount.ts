/*
 * `mount/mount`. Where the kernel can (Linux 5.2) a file system is mounted aside first, which can take long and fail in
 * many ways, and then put into its place, which can't: a folder is made only for what is there to be put into it.
 */
import { basename } from "node:path";
import type { Caller } from "../caller";
import { probe, unknownContent } from "../content/probe";
import { deviceSize, isReadOnly } from "../linux/block";
import type { Devnum } from "../linux/devnum";
import { isErrno, KernelError } from "../linux/errno";
import type { OpenFile } from "../linux/file";
import { type FileSystemWish, MountRefusal, makeMount, mountOnto, openFileSystem, placeMount } from "../linux/mount";
import { deviceUnder, type MountEntry, mountIdOf, readMounts } from "../linux/mountinfo";
import { throwIfCancelled } from "../pause";
import { inWords, Problem } from "../problem";
import type { CheckedParams, Content, Mount, Result } from "../protocol";
import { mountsByDevice, usersOf } from "../users";
import type { Work } from "../work";
import { type MountBook, withBook } from "./book";
import { type Mountable, openMountable } from "./device";
import { applyIdMap, checkIdMap } from "./idmap";
import { addUnasked, checkOptions, journalOption } from "./options";
import { MountPlace } from "./place";
import { MadeTarget, makeTarget, openTarget, pathNow } from "./target";
import { openDriver, readOnlyFileSystems, typesFor, unsupported } from "./type";

type Wish = CheckedParams<"mount/mount">;

/** A mount that only lacks its place; without one where the kernel can't make it aside. */
interface Prepared extends FileSystemWish {
  content: Content;
  aside: OpenFile | undefined;
  journalSkipped: boolean;
}

/**
 * Mounts a device or partition for the caller.
 * @throws Problem invalid where there is nothing to mount or an option isn't harmless, unsupported where the kernel has
 *   no such file system, busy, notPermitted, kernel with what the file system said
 */
export async function mountDevice(wish: Wish, caller: Caller, work: Work): Promise<Result<"mount/mount">> {
  checkIdMap(wish, caller);
  await using mountable = await openMountable(wish, caller, work.signal);
  using chosen = wish.target === undefined ? undefined : openTarget(caller, wish.target);
  const content = await contentOf(mountable, wish);
  work.report("Mounting");
  const prepared = await prepare(mountable, content, wish, caller);
  await using _aside = prepared.aside;
  throwIfCancelled(work.signal);
  return await withBook(caller, work.signal, async (book) => {
    const names = [content.label, content.uuid, basename(wish.device)];
    using target = chosen ? new ChosenTarget(chosen) : makeTarget(caller, names);
    const { mount, entry } = await place(prepared, mountable, target, book);
    if (wish.readOnly === false && mount.readOnly) {
      await takeBack(entry);
      throw new Problem("unsupported", `The kernel mounts ${wish.device} for reading only, and says no more.`, {
        device: wish.device,
      });
    }
    target.keep();
    return { mount, journalSkipped: prepared.journalSkipped };
  });
}

/** A folder that was there before, and stays. */
class ChosenTarget implements Disposable {
  constructor(readonly folder: OpenFile) {}

  get path(): string {
    return this.folder.path;
  }

  keep(): void {}

  [Symbol.dispose](): void {}
}

async function contentOf({ file }: Mountable, { fileSystem }: Wish): Promise<Content> {
  try {
    return (await probe(file, { offset: 0, size: Number(deviceSize(file)) })).content;
  } catch (error) {
    // Without libblkid, whoever knows what it is can say so.
    if (error instanceof Problem && error.data.reason === "unsupported" && fileSystem !== undefined) {
      return unknownContent;
    }
    throw error;
  }
}

async function prepare(mountable: Mountable, content: Content, wish: Wish, caller: Caller): Promise<Prepared> {
  const { device } = wish;
  const driver = await openDriver(typesFor(content, device, wish.fileSystem), device);
  await using _context = driver.context;
  const { fileSystem } = driver;
  const checked = checkOptions(wish.options, fileSystem, caller);
  addUnasked(checked, fileSystem, caller);
  const deviceReadOnly = isReadOnly(mountable.file);
  if (deviceReadOnly || readOnlyFileSystems.has(fileSystem)) {
    refuseIfToBeWritten(wish, deviceReadOnly, fileSystem);
    checked.flags.add("ro");
  } else if (wish.readOnly) {
    checked.flags.add("ro");
  } else if (wish.readOnly === false && checked.flags.has("ro")) {
    throw new Problem("invalid", `${device} can't be mounted both for writing and with the option ro.`, { device });
  }
  refuseToSkipJournal(checked.options, deviceReadOnly, wish);
  const plain = { source: device, fileSystem, flags: [...checked.flags], options: checked.options, content };
  if (!driver.context) {
    if (wish.idMap) {
      throw new Problem(
        "unsupported",
        "This kernel can't show files with other owners. Mount without, and edit as root.",
      );
    }
    return { ...plain, aside: undefined, journalSkipped: false };
  }
  const withoutJournal = deviceReadOnly ? journalOption(fileSystem) : undefined;
  try {
    try {
      return { ...plain, aside: await aside(driver.context, plain, wish, caller), journalSkipped: false };
    } catch (error) {
      if (!isErrno(error, "EROFS") || withoutJournal === undefined) {
        throw error;
      }
    }
    const skipping = { ...plain, options: [...plain.options, withoutJournal] };
    // A context whose mount has failed is of no use for another.
    await using context = await openFileSystem(fileSystem);
    if (!context) {
      throw unsupported(fileSystem, device);
    }
    return { ...skipping, aside: await aside(context, skipping, wish, caller), journalSkipped: true };
  } catch (error) {
    throw await refusal(error, plain, mountable);
  }
}

async function aside(context: OpenFile, wish: FileSystemWish, { idMap }: Wish, caller: Caller): Promise<OpenFile> {
  const mount = await makeMount(context, wish);
  try {
    if (idMap) {
      applyIdMap(mount, wish, caller);
    }
    return mount;
  } catch (error) {
    await mount[Symbol.asyncDispose]();
    throw error;
  }
}

function refuseIfToBeWritten({ device, readOnly }: Wish, deviceReadOnly: boolean, fileSystem: string): void {
  if (readOnly !== false) {
    return;
  }
  throw deviceReadOnly
    ? new Problem("notPermitted", `${device} is read-only, and so is what is mounted from it. Attach it for writing.`, {
        device,
      })
    : new Problem("unsupported", `${device} can't be mounted for writing: ${fileSystem} is for reading only.`, {
        device,
      });
}

// Written to with its journal left out, a file system would be damaged by what the journal holds at its next mount.
function refuseToSkipJournal(options: readonly string[], deviceReadOnly: boolean, { device }: Wish): void {
  const skipping = options.find((option) => ["noload", "norecovery", "rescue=nologreplay"].includes(option));
  if (skipping !== undefined && !deviceReadOnly) {
    throw new Problem(
      "invalid",
      `${skipping} is for read-only devices. Attach the image of ${device} read-only first.`,
      {
        device,
      },
    );
  }
}

async function place(
  prepared: Prepared,
  mountable: Mountable,
  target: MadeTarget | ChosenTarget,
  book: MountBook,
): Promise<{ mount: Mount; entry: MountEntry }> {
  const { devnum, diskSequence } = mountable;
  const booked = { target: target.path, made: target instanceof MadeTarget, devnum, diskSequence, id: null };
  book.add(booked);
  try {
    if (prepared.aside) {
      placeMount(prepared.aside, target.folder);
    } else {
      await mountOnto(target.folder, prepared);
    }
  } catch (error) {
    book.remove(booked);
    throw await refusal(error, prepared, mountable);
  }
  const entry = findPlaced(prepared, target.folder, devnum);
  const mount = entry && mountsByDevice([entry]).get(devnum)?.[0];
  if (!entry || !mount) {
    throw new Problem("kernel", `${prepared.source} was mounted at ${target.path}, but isn't there any more.`);
  }
  book.complete(booked, entry);
  return { mount, entry };
}

/** Unmounts what was just mounted, and nothing else that its path may lead to by now. */
async function takeBack(entry: MountEntry): Promise<void> {
  using there = new MountPlace(entry);
  if (there.isOnTop()) {
    await there.unmount(false);
  }
}

/** The mount that was just made, wherever its folder has been moved to meanwhile. */
function findPlaced({ aside }: Prepared, folder: OpenFile, devnum: Devnum): MountEntry | undefined {
  if (aside) {
    const id = mountIdOf(aside);
    return readMounts().find((mount) => mount.id === id);
  }
  const path = pathNow(folder);
  return readMounts().findLast((mount) => mount.target === path && deviceUnder(mount) === devnum);
}

/** Why the kernel refused, in words, with what the file system has said itself. */
async function refusal(
  error: unknown,
  wish: Pick<Prepared, "source" | "fileSystem" | "content">,
  { disk, file }: Mountable,
): Promise<unknown> {
  const { source: device, fileSystem, content } = wish;
  if (!(error instanceof KernelError)) {
    return error;
  }
  switch (error.errno) {
    case "EPERM":
    case "EACCES":
      return error;
    case "ENODEV":
      return unsupported(fileSystem, device, error);
    case "EBUSY": {
      const users = await usersOf(disk);
      return Problem.of("busy", `${device} is in use, or mounted in another way already.`, error, { device, users });
    }
  }
  const said = error instanceof MountRefusal ? error.log.filter((line) => line !== "").join("; ") : "";
  // Only where the file system itself complains; a lack of memory is nothing that a check would find.
  const advice = !damage.has(error.errno)
    ? ""
    : content.fullSize !== undefined
      ? ` It was cut short: it has ${content.fullSize} bytes by its own word, and ${deviceSize(file)} are there.`
      : ` It may be damaged, or use features that this kernel hasn't: "sudo fsck -n ${device}" and the kernel's log tell more.`;
  const message = `${device} can't be mounted as ${fileSystem}: ${said || inWords(error.errno)}.${advice}`;
  return Problem.of("kernel", message, error, { device });
}

// EUCLEAN is what file systems call EFSCORRUPTED, EBADMSG what they call EFSBADCRC.
const damage: ReadonlySet<string> = new Set(["EINVAL", "EUCLEAN", "EIO", "EBADMSG"]);
