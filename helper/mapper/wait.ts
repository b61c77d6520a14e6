/*
 * Waiting for a device's next event. Not by DM_DEV_WAIT, which holds a thread until there is one: the control file is
 * polled for the events of all devices, by one thread for all who wait, and each looks whether its own has come.
 */
import type { DmControl } from "../linux/dmcontrol";
import { isErrno } from "../linux/errno";
import { POLLIN, watch } from "../linux/poll";
import { Cancelled } from "../pause";
import { Problem } from "../problem";
import { openControl } from "./control";
import type { MapperDeps } from "./deps";
import { findDevice, sequenceOf } from "./device";
import { type MapperStatus, mapperStatus } from "./status";

/** A device that goes with its last user makes no event of the device mapper's, nor does any before Linux 4.14. */
const LOOK_INTERVAL = 2000;

export interface WaitParams {
  device: string;
  /** The number of the last event that is known: at once back where there was one since. */
  eventNumber: number;
}

/**
 * `mapper/wait`: what the targets report once the device has had an event, a new table included.
 * @throws Problem notFound where the device goes; Cancelled
 */
export async function waitForMapper(params: WaitParams, deps: MapperDeps): Promise<MapperStatus> {
  const { control, signal } = deps;
  const { devnum } = findDevice(control, params.device);
  const sequence = sequenceOf(devnum);
  const gone = () => new Problem("notFound", `${params.device} was removed.`, { device: params.device });
  await new Promise<void>((resolve, reject) => {
    function look(): void {
      try {
        const { eventNumber } = control.status({ devnum });
        if (sequenceOf(devnum) !== sequence) {
          end(() => reject(gone()));
        } else if (eventNumber !== params.eventNumber) {
          end(resolve);
        }
      } catch (error) {
        end(() => reject(isErrno(error, "ENXIO") ? gone() : error));
      }
    }
    const aborted = () => end(() => reject(new Cancelled()));
    const end = (settle: () => void) => {
      events[Symbol.dispose]();
      clearInterval(interval);
      signal.removeEventListener("abort", aborted);
      settle();
    };
    const events = onMapperEvent(look);
    const interval = setInterval(look, LOOK_INTERVAL);
    signal.addEventListener("abort", aborted);
    if (signal.aborted) {
      aborted();
    } else {
      look();
    }
  });
  return mapperStatus({ device: `/dev/mapper/${control.status({ devnum }).name}` }, deps);
}

interface Listening {
  control: DmControl;
  watch: Disposable;
  listeners: Set<() => void>;
}
let listening: Listening | undefined;

/**
 * Calls back after something has happened to some mapper device: one was made, renamed or removed, or a target had an
 * event. Takes one thread of the pool while anybody listens.
 */
export function onMapperEvent(listener: () => void): Disposable {
  listening ??= listen();
  const { listeners } = listening;
  listeners.add(listener);
  return {
    [Symbol.dispose]() {
      listeners.delete(listener);
      if (listeners.size === 0 && listening?.listeners === listeners) {
        stop(listening);
      }
    },
  };
}

function listen(): Listening {
  const control = openControl();
  const listeners = new Set<() => void>();
  try {
    control.armPoll();
  } catch (error) {
    if (!isErrno(error, "ENOTTY")) {
      control[Symbol.dispose]();
      throw error;
    }
    return { control, watch: { [Symbol.dispose]() {} }, listeners };
  }
  const ready = () => {
    // Armed before anybody looks, so that what happens while they do is not lost.
    control.armPoll();
    for (const listener of [...listeners]) {
      listener();
    }
  };
  const watching = watch([{ file: control.file, events: POLLIN, ready }], () => {});
  return { control, watch: watching, listeners };
}

function stop(ended: Listening): void {
  listening = undefined;
  ended.watch[Symbol.dispose]();
  ended.control[Symbol.dispose]();
}
