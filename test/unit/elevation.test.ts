import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { polkitRefusal, sudoRefusal } from "../../extension/helper/advice";
import { type Ask, Askpass } from "../../extension/helper/askpass";
import { elevate, waysFor } from "../../extension/helper/elevation";
import { Failure } from "../../extension/helper/failure";
import { IdleTimer } from "../../extension/helper/idle";
import type { Machine } from "../../extension/helper/machine";
import { forSudoPrompt, quoted } from "../../extension/helper/quoting";
import { asRoot } from "../../extension/helper/runtime";
import { type RunningHelper, StartError } from "../../extension/helper/way";
import { helperProgram } from "../helper";

/** A machine where nothing works, but for what is said. */
function machine(able: Partial<Machine> & { programs?: string[] } = {}): Machine {
  return {
    user: "alice",
    host: "box",
    isRoot: () => false,
    hasNoNewPrivileges: () => false,
    find: (program) => (able.programs?.includes(program) ? `/usr/bin/${program}` : undefined),
    polkitAnswer: async () => "no",
    hasDesktop: () => false,
    ...able,
  };
}

const nobodyAsks: Ask = async () => assert.fail("nobody is to be asked");

async function chosen(
  setting: Parameters<typeof waysFor>[0],
  on: Machine,
  fails: Record<string, string> = {},
): Promise<{ by?: string; failure?: Failure; log: string[] }> {
  const log: string[] = [];
  const elsewhere = { listen: () => false, ask: nobodyAsks, programs: "/nowhere", action: "test" };
  const ways = waysFor(setting, { machine: on, ...elsewhere });
  const start = async ({ name }: { name: string }) => {
    const said = fails[name];
    if (said !== undefined) {
      throw new StartError(said);
    }
    return name;
  };
  try {
    return { by: await elevate(ways, start, (said) => log.push(said)), log };
  } catch (failure) {
    assert.ok(failure instanceof Failure);
    return { failure, log };
  }
}

const [ROOT, SUDO, ASKPASS, POLKIT] = [
  "being root already",
  "sudo without a password",
  "sudo with a password",
  "polkit",
];

/** What `sudo -n` says as a rule. */
const wantsPassword = { [SUDO]: "sudo: a password is required" };

describe("which way to root is taken", () => {
  it("auto takes the first that can work", async () => {
    const cases: [Machine, string, Record<string, string>][] = [
      [machine({ isRoot: () => true, programs: ["sudo"] }), ROOT, {}],
      [machine({ programs: ["sudo", "pkexec"] }), SUDO, {}],
      [machine({ programs: ["sudo", "pkexec"], hasDesktop: () => true }), ASKPASS, wantsPassword],
      [machine({ programs: ["pkexec"], hasDesktop: () => true }), POLKIT, {}],
      [machine({ programs: ["pkexec"], polkitAnswer: async () => "yes" }), POLKIT, {}],
    ];
    for (const [on, expected, fails] of cases) {
      const { by, log } = await chosen("auto", on, fails);
      assert.equal(by, expected);
      assert.equal(log.at(-1), `Becoming root by ${expected}.`);
    }
  });

  it("says of each that it passed over why", async () => {
    const { log } = await chosen("auto", machine({ programs: ["pkexec"], hasDesktop: () => true }));
    assert.match(log[0] ?? "", /^Not by being root already: This VS Code doesn't run as root/);
    assert.match(log[1] ?? "", /^Not by sudo without a password: There is no sudo here\. Install it/);
    assert.match(log[2] ?? "", /^Not by sudo with a password: There is no sudo here/);
  });

  it("a setting allows no other way", async () => {
    const all = machine({ programs: ["sudo", "pkexec"], hasDesktop: () => true });
    assert.match((await chosen("direct", all)).failure?.message ?? "", /doesn't run as root.*“auto”/);
    assert.equal((await chosen("sudo", all, wantsPassword)).by, ASKPASS);
    assert.equal((await chosen("polkit", all)).by, POLKIT);
    // Who asks for polkit gets it, whoever is to answer; pkexec says so where nobody is.
    assert.equal((await chosen("polkit", machine({ programs: ["pkexec"] }))).by, POLKIT);
    assert.match(
      (await chosen("polkit", machine({ programs: ["sudo"] }))).failure?.message ?? "",
      /no \/usr\/bin\/pkexec/,
    );
  });

  it("nothing is tried where the kernel gives nobody rights", async () => {
    const on = machine({ programs: ["sudo", "pkexec"], hasNoNewPrivileges: () => true, hasDesktop: () => true });
    for (const setting of ["auto", "sudo", "polkit"] as const) {
      const { failure } = await chosen(setting, on);
      assert.equal(failure?.reason, "notPrivileged");
      assert.match(failure?.message ?? "", /no new privileges.*Start it another way/);
    }
  });

  it("what turns out not to work makes room for the next way", async () => {
    const on = machine({ programs: ["sudo", "pkexec"], hasDesktop: () => true });
    const notAllowed = { ...wantsPassword, [ASKPASS]: "alice is not in the sudoers file." };
    assert.equal((await chosen("auto", on, notAllowed)).by, POLKIT);
    const { failure } = await chosen("sudo", on, notAllowed);
    assert.match(failure?.message ?? "", /Ask an administrator to let you use sudo/);
  });

  it("a wrong password and a refusal are the end", async () => {
    const on = machine({ programs: ["sudo", "pkexec"], hasDesktop: () => true });
    const wrong = await chosen("auto", on, { ...wantsPassword, [ASKPASS]: "sudo: 3 incorrect password attempts" });
    assert.match(wrong.failure?.message ?? "", /wrong too often/);
    assert.ok(!wrong.log.some((said) => said.includes(POLKIT)));
    const dismissed = await chosen("polkit", on, {
      [POLKIT]: "Error executing command as another user: Request dismissed",
    });
    assert.equal(dismissed.failure?.reason, "cancelled");
  });

  it("each thing that sudo and polkit say has its advice", () => {
    const advice = (said: string) => sudoRefusal(said).advice;
    assert.match(advice("spawn sudo ENOENT"), /no sudo here/);
    assert.match(advice('sudo: The "no new privileges" flag is set'), /Start it another way/);
    assert.match(advice("sudo: sorry, you must have a tty to run sudo"), /requiretty/);
    assert.match(advice("alice is not in the sudoers file.  This incident will be reported."), /administrator/);
    assert.match(advice("Sorry, user alice is not allowed to execute"), /administrator/);
    assert.match(advice("sudo: no password was provided\nsudo: a password is required"), /enter it/);
    assert.match(advice("something new"), /See the log/);
    assert.match(polkitRefusal("No polkit authentication agent found.").advice, /nobody to ask by.*sudo/);
    assert.match(polkitRefusal("Error: Not authorized").advice, /administrator/);
    assert.match(polkitRefusal("Could not connect: system bus").advice, /D-Bus/);
  });
});

describe("command lines for root", () => {
  const nasty = [
    "a b",
    "a'b",
    'a"b',
    "$(touch pwned)",
    "`touch pwned`",
    "a\\",
    "\\$HOME",
    "!!",
    "a\nb",
    "*",
    "é✓",
    "-n",
    "a=b",
  ];

  it("whatever is in a path, sudo-prompt's two shells hand it on as it is", () => {
    const line = `printf '%s\\0' ${nasty.map(quoted).join(" ")}`;
    // As in sudo-prompt's Linux(), with env(1) in pkexec's place.
    const escaped = forSudoPrompt(line).replace(/"/g, '\\"');
    const command = `"/usr/bin/env" /bin/bash -c "echo SUDOPROMPT; ${escaped}"`;
    const output = execFileSync("/bin/sh", ["-c", command], { encoding: "utf8", cwd: tmpdir() });
    assert.deepEqual(
      output
        .replace(/^SUDOPROMPT\n/, "")
        .split("\0")
        .slice(0, -1),
      nasty,
    );
  });

  it("env(1) takes no path for a variable, and what misleads Node is gone", () => {
    const folder = mkdtempSync(join(tmpdir(), "diskloom-a=b-"));
    try {
      const program = join(folder, "x=y");
      writeFileSync(program, '#!/bin/sh\necho "$1,$NODE_OPTIONS,$KEPT,$SUDO_UID"\n');
      chmodSync(program, 0o755);
      const [env, ...args] = asRoot({ program, args: ["$HOME"], environment: { KEPT: "a b", PATH: "/usr/bin:/bin" } });
      const environment = { NODE_OPTIONS: "--inspect", SUDO_UID: "5" };
      assert.equal(execFileSync(env, args, { encoding: "utf8", env: environment }), "$HOME,,a b,5\n");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** A sudo that takes the password "right", asks up to five times, and then runs what it is to run. */
const FAKE_SUDO = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
for try in 1 2 3 4 5; do
  answer=$("$SUDO_ASKPASS" "[sudo] password for alice: ") || { echo "sudo: no password was provided" >&2; exit 1; }
  [ "$answer" = right ] && exec "$@"
done
echo "sudo: 5 incorrect password attempts" >&2
exit 1
`;

class FakeSudo implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "diskloom-sudo-"));
  readonly runtime = join(this.folder, "run");
  readonly before = process.env.XDG_RUNTIME_DIR;
  readonly questions: boolean[] = [];
  readonly said: string[] = [];

  constructor() {
    writeFileSync(join(this.folder, "sudo"), FAKE_SUDO, { mode: 0o755 });
    mkdirSync(this.runtime, { mode: 0o700 });
    process.env.XDG_RUNTIME_DIR = this.runtime;
  }

  way(answers: (string | undefined)[]): Askpass {
    const on = machine({ programs: ["sudo"], find: () => join(this.folder, "sudo") });
    const listen = (line: string) => {
      this.said.push(line);
      return false;
    };
    const ask: Ask = async ({ again }) => {
      this.questions.push(again);
      return answers.shift();
    };
    return new Askpass(on, listen, ask, dirname(helperProgram));
  }

  start(way: Askpass): Promise<RunningHelper> {
    const args = ["-c", "echo ran; cat"];
    return way.start({ program: "/bin/sh", args, environment: { PATH: "/usr/bin:/bin" } });
  }

  [Symbol.dispose](): void {
    if (this.before === undefined) {
      delete process.env.XDG_RUNTIME_DIR;
    } else {
      process.env.XDG_RUNTIME_DIR = this.before;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function outputOf({ output }: RunningHelper): Promise<string> {
  let text = "";
  output.on("data", (bytes) => {
    text += bytes;
  });
  await once(output, "close");
  return text;
}

describe("the password's way to sudo", () => {
  it("the right one: what was written before it reaches what runs as root, and nothing is left", async () => {
    using sudo = new FakeSudo();
    const way = sudo.way(["wrong", "right"]);
    const helper = await sudo.start(way);
    helper.input.end("hello");
    assert.equal(await outputOf(helper), "ran\nhello");
    helper.close();
    assert.deepEqual(sudo.questions, [false, true]);
    assert.deepEqual(readdirSync(sudo.runtime), []);
    assert.deepEqual(sudo.said, [], "what proves the asking program is not for the log");
  });

  it("three wrong ones are the end, whatever sudo would take", async () => {
    using sudo = new FakeSudo();
    const way = sudo.way(["a", "b", "c", "right"]);
    const helper = await sudo.start(way);
    assert.equal(await outputOf(helper), "");
    assert.equal(sudo.questions.length, 3);
    assert.deepEqual(way.refusal(helper.said()).kind, "end");
    assert.match(way.refusal(helper.said()).advice, /wrong 3 times/);
  });

  it("no answer ends it at once", async () => {
    using sudo = new FakeSudo();
    const way = sudo.way([undefined]);
    const helper = await sudo.start(way);
    assert.equal(await outputOf(helper), "");
    assert.equal(way.refusal(helper.said()).kind, "cancelled");
  });

  it("who finds the socket but isn't sudo's asking program gets no password, and nobody is asked", async () => {
    using sudo = new FakeSudo();
    writeFileSync(join(sudo.folder, "sudo"), "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
    const way = sudo.way(["right"]);
    const helper = await sudo.start(way);
    const [folder = ""] = readdirSync(sudo.runtime);
    const socket = connect(join(sudo.runtime, folder, "socket"));
    let got = "";
    socket.on("data", (bytes) => {
      got += bytes;
    });
    socket.write("[sudo] password for alice: \n");
    await once(socket, "data");
    socket.write(`diskloom-askpass ${got}`);
    await sleep(300);
    assert.match(got, /^[0-9a-f]{48}\n$/);
    assert.deepEqual(sudo.questions, []);
    socket.destroy();
    await sleep(50);
    assert.match(way.refusal("").advice, /somebody else asked for it/);
    helper.close();
    assert.ok(!existsSync(join(sudo.runtime, folder)));
  });

  it("the folder is closed to others", async () => {
    using sudo = new FakeSudo();
    const helper = await sudo.start(sudo.way([undefined]));
    const [folder = ""] = readdirSync(sudo.runtime);
    assert.equal(execFileSync("stat", ["-c", "%a", join(sudo.runtime, folder)], { encoding: "utf8" }), "700\n");
    const script = readFileSync(join(sudo.runtime, folder, "askpass"), "utf8");
    assert.match(script, /^#!\/bin\/sh\nexec "\$DISKLOOM_ASKPASS_RUNTIME" "\$DISKLOOM_ASKPASS_PROGRAM" "\$1"\n$/);
    await outputOf(helper);
  });
});

describe("idle time", () => {
  const minutes = (milliseconds: number) => milliseconds / 60_000;
  const notNeeded = async () => false;

  it("counts from the end of the last request, and not while one is under way", async () => {
    let expired = 0;
    const idle = new IdleTimer(
      () => minutes(60),
      notNeeded,
      () => expired++,
    );
    idle.restart();
    await idle.during(() => sleep(150));
    assert.equal(expired, 0);
    await Promise.all([idle.during(() => sleep(10)), idle.during(() => sleep(100))]);
    assert.equal(expired, 0);
    await sleep(100);
    assert.equal(expired, 1);
  });

  it("0 is never, and a very long time is not at once", async () => {
    for (const value of [0, 1e12]) {
      let expired = 0;
      const idle = new IdleTimer(
        () => value,
        notNeeded,
        () => expired++,
      );
      idle.restart();
      await sleep(30);
      idle.stop();
      assert.equal(expired, 0);
    }
  });

  it("is no end while it is needed, as by a device that would go with it; once it isn't, it is", async () => {
    const events: string[] = [];
    const answers = [true, true, false];
    await new Promise<void>((resolve) => {
      const idle = new IdleTimer(
        () => minutes(5),
        async () => {
          events.push("asked");
          return answers.shift() ?? assert.fail("asked on after the end");
        },
        () => {
          events.push("expired");
          resolve();
        },
      );
      idle.restart();
    });
    assert.deepEqual(events, ["asked", "asked", "asked", "expired"]);
  });

  it("is no end either where a request comes while that is asked", async () => {
    let expired = 0;
    let asked = 0;
    const idle: IdleTimer = new IdleTimer(
      () => minutes(5),
      async () => {
        // The second time nobody comes.
        if (++asked === 1) {
          await idle.during(async () => {});
          assert.equal(expired, 0);
        }
        return false;
      },
      () => expired++,
    );
    idle.restart();
    const end = performance.now() + 30_000;
    while (expired === 0 && performance.now() < end) {
      await sleep(5);
    }
    assert.deepEqual([asked, expired], [2, 1]);
  });
});
