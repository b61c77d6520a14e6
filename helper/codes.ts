/* The part of the contract that is needed before the first request: what has no schema. */

/** The kernel's picture changed, whoever changed it. At most one in 50 ms. */
export const DEVICES_CHANGED = "devices/changed";
export const LOG_MESSAGE = "log/message";

/** The code of every error that is not JSON-RPC's own. */
export const PROBLEM_CODE = 1;

/** The argument of the thread that makes long lists. */
export const LISTING_THREAD = "--listing-thread";
