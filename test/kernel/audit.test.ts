/* What is done as root is told to the system's log. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { it } from "node:test";
import { CancellationTokenSource } from "vscode-jsonrpc/node";
import { MiB } from "../images";
import { Scene, until } from "./scene";

/** A /dev of its own with a listener in the place of syslogd, and then the helper; nothing of it is left on the machine. */
const LISTENED = `
mount --make-rprivate / && mount -t tmpfs layers /mnt && mkdir /mnt/upper /mnt/work &&
mount -t overlay -o lowerdir=/dev,upperdir=/mnt/upper,workdir=/mnt/work dev /dev || exit 1
perl -MIO::Socket::UNIX -e '
  my $log = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "/dev/log") or die; open my $out, ">", $ARGV[0]; $out->autoflush;
  while (defined $log->recv(my $text, 65536)) { print $out "$text\\n"; }
' "$0" < /dev/null > /dev/null 2>&1 &
while ! [ -S /dev/log ]; do sleep 0.02; done
"$@"; code=$?; kill $!; exit $code`;

it("every privileged deed is logged with caller, request and outcome, in one line and without secrets", async () => {
  await using scene = await Scene.set();
  const log = scene.workshop.path("log");
  const helper = await scene.helperWith({ command: ["unshare", "--mount", "sh", "-c", LISTENED, log] });
  const lines = () => (existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : []);
  const path = scene.workshop.path("none\n<85>su: root\u009b2J");
  await assert.rejects(helper.request("loop/attach", { path }));
  const device = "/dev/mapper/diskloom-none";
  await assert.rejects(helper.request("mapper/message", { device, message: "key set 0123456789abcdef" }));
  await assert.rejects(helper.request("loop/detach", { device: "/dev/loop9999999", whenBusy: "lazy" }));
  await helper.request("devices/list", {});
  const cancelling = new CancellationTokenSource();
  const large = scene.workshop.blank("large.img", 4096 * MiB);
  const copying = helper.request("loop/attach", { path: large, inMemory: true }, cancelling.token);
  cancelling.cancel();
  await assert.rejects(copying, /cancelled/);
  await until(() => lines().length === 4, `four lines: ${lines()}`);
  const { pid } = await helper.request("helper/info", {});
  const shown = JSON.stringify(path).replace("\u009b", "\\u009b");
  const [attach = "", message = "", detach = "", copy = ""] = lines();
  assert.equal(
    attach,
    `<85>diskloom-helper[${pid}]: "root" (0) loop/attach path=${shown} readOnly="auto": "refused: notFound ENOENT"`,
  );
  assert.match(message, /mapper\/message device="\/dev\/mapper\/diskloom-none" confirmForeign=false: "refused: /);
  assert.doesNotMatch(message, /0123/);
  assert.match(detach, /loop\/detach device="\/dev\/loop9999999" whenBusy="lazy".*"refused: notFound/);
  assert.match(copy, /loop\/attach path=".*large\.img" readOnly="auto": "cancelled"$/);
  assert.doesNotMatch(helper.errors, /loop\/attach/, "stderr is for where there is no system's log");
});
