/* Word of changes to one file. */
import { basename, dirname } from "node:path";
import * as vscode from "vscode";

/** How long a file has to be quiet before it is looked at again, in milliseconds. */
const QUIET = 200;

/** Calls back some time after a file was written, made or deleted. */
export function watchFile(path: string, changed: () => void): vscode.Disposable {
  // Not by its name: to a pattern, some characters of names mean something else.
  const watcher = vscode.workspace.createFileSystemWatcher(
    new vscode.RelativePattern(vscode.Uri.file(dirname(path)), "*"),
  );
  let timer: NodeJS.Timeout | undefined;
  const heard = ({ fsPath }: vscode.Uri) => {
    if (basename(fsPath) === basename(path)) {
      clearTimeout(timer);
      timer = setTimeout(changed, QUIET);
    }
  };
  return vscode.Disposable.from(
    watcher,
    watcher.onDidChange(heard),
    watcher.onDidCreate(heard),
    watcher.onDidDelete(heard),
    new vscode.Disposable(() => clearTimeout(timer)),
  );
}
