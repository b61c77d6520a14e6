/* Keys in tables: what is shown in their place. */
import type { DmTarget } from "../linux/dm";

/**
 * A line of a table as it may be shown: a key becomes as many zeros, as `dmsetup table` shows it. A reference to the
 * kernel's keyring (":32:logon:name") is no secret and stays.
 */
export function hideKeys(target: DmTarget): DmTarget {
  return { ...target, params: hideKeysInParams(target.type, target.params) };
}

export function hideKeysInParams(type: string, params: string): string {
  if (type === "crypt") {
    // "cipher key iv_offset device offset …"
    return params.replace(/^(\s*\S+\s+)([^\s:]\S*)/, (_, cipher: string, key: string) => cipher + zeros(key));
  }
  if (type === "integrity") {
    // "internal_hash:hmac(sha256):KEY", Documentation/admin-guide/device-mapper/dm-integrity.rst
    const keyed = /((?:internal_hash|journal_crypt|journal_mac):[^\s:]+:)(\S+)/g;
    return params.replace(keyed, (_, algorithm: string, key: string) => algorithm + zeros(key));
  }
  return params;
}

function zeros(key: string): string {
  return "0".repeat(key.length);
}
