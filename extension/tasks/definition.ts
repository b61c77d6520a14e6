/* A task of type "diskloom", as package.json describes it for tasks.json. */
import { isAbsolute, join } from "node:path";
import * as v from "valibot";
import { l10n } from "vscode";
import { Failure } from "../helper/failure";

export const TASK_TYPE = "diskloom";

const wish = {
  image: v.pipe(v.string(), v.nonEmpty(l10n.t("must not be empty"))),
  readOnly: v.optional(v.boolean()),
};
/** VS Code adds what all tasks have, so other fields are let pass. */
const Definition = v.variant("action", [
  v.object({ action: v.literal("attach"), ...wish }),
  v.object({
    action: v.literal("mount"),
    ...wish,
    partition: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
    target: v.optional(v.string()),
  }),
  v.object({ action: v.literal("unmount"), image: wish.image }),
  v.object({ action: v.literal("detach"), image: wish.image }),
]);
export type TaskWish = v.InferOutput<typeof Definition>;

/**
 * @param definition with its variables resolved
 * @param folder that paths in it are relative to
 * @throws Failure saying what is wrong with it
 */
export function parseDefinition(definition: unknown, folder: string | undefined): TaskWish {
  const parsed = v.safeParse(Definition, definition);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const place = v.getDotPath(issue);
    const why = place === null ? issue.message : `${place}: ${issue.message}`;
    throw new Failure("invalid", l10n.t("This task can't be run: {0}", why));
  }
  const found = parsed.output;
  const image = absolute(found.image, folder);
  return found.action === "mount" && found.target !== undefined
    ? { ...found, image, target: absolute(found.target, folder) }
    : { ...found, image };
}

function absolute(path: string, folder: string | undefined): string {
  if (isAbsolute(path)) {
    return path;
  }
  if (folder === undefined) {
    throw new Failure("invalid", l10n.t("{0} must be an absolute path: this task belongs to no folder.", path));
  }
  return join(folder, path);
}
