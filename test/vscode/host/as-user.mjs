/**
 * Serves a VS Code to a user who is not root, without adding one to this machine: to be run by root in mount and
 * process namespaces of its own, where what is written to system's folders is written to a copy and /run is empty. Takes
 * `Wishes` as JSON, prints `Told` as JSON in one line, and lives as long as its stdin.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { run } from "../../tools/packages.mjs";
import { serve } from "./serve.mjs";

/**
 * @typedef {object} Wishes
 * @property {string} user a name that nobody has
 * @property {number} uid an id that nobody has
 * @property {string} sudoers the rules of sudo, besides the machine's own
 * @property {string} folder an empty one for what is needed meanwhile
 * @property {Pick<import("./serve.mjs").ServeOptions, "vsix" | "extensions">} extension what is installed, and how
 */

/** @typedef {Pick<import("./serve.mjs").Served, "url" | "password">} Told */

/** @type {Wishes} */
const wishes = JSON.parse(process.argv[2] ?? "");

const layers = join(wishes.folder, "layers");
mkdirSync(layers);
run(["mount", "-t", "tmpfs", "layers", layers]);
// Those that sudo, polkit and an installation have to do with.
for (const folder of ["/etc", "/usr/local", "/usr/share/polkit-1/actions"].filter(existsSync)) {
  const layer = join(layers, basename(folder));
  for (const name of ["upper", "work"]) {
    mkdirSync(join(layer, name), { recursive: true });
  }
  const options = `lowerdir=${folder},upperdir=${layer}/upper,workdir=${layer}/work`;
  run(["mount", "-t", "overlay", "-o", options, basename(folder), folder]);
}
run(["mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run"]);

const { user, uid } = wishes;
appendFileSync("/etc/passwd", `${user}:x:${uid}:${uid}::/nonexistent:/bin/sh\n`);
appendFileSync("/etc/group", `${user}:x:${uid}:\n`);
appendFileSync("/etc/shadow", `${user}:*:19000:0:99999:7:::\n`);
mkdirSync("/etc/sudoers.d", { recursive: true });
writeFileSync(`/etc/sudoers.d/${user}`, wishes.sudoers, { mode: 0o440 });

// A wrong password is told at once: the two seconds that pam_unix(8) waits then are against those who guess.
const authentication = "/etc/pam.d/common-auth";
if (existsSync(authentication)) {
  const rules = readFileSync(authentication, "utf8");
  writeFileSync(
    authentication,
    rules.replace(/^auth\s.*\bpam_unix\.so\b.*$/m, (rule) => `${rule} nodelay`),
  );
}

process.env.TMPDIR = join(wishes.folder, "tmp");
mkdirSync(process.env.TMPDIR);
const env = { USER: user, LOGNAME: user, SHELL: "/bin/sh" };
const served = await serve({ uid, gid: uid, ...wishes.extension, env });
/** @type {Told} */
const told = { url: served.url, password: served.password };
process.stdout.write(`${JSON.stringify(told)}\n`);

process.stdin.resume();
process.stdin.on("end", () => void served.close().finally(() => process.exit()));
