/* The disk map's page: an empty body, one style sheet, one script, and nothing else that it may load or run. */
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";

/** What of the extension's files the page may see. */
export function resourceRoots(extensionUri: vscode.Uri): vscode.Uri[] {
  return [vscode.Uri.joinPath(extensionUri, "media"), vscode.Uri.joinPath(extensionUri, "dist")];
}

export function pageOf(webview: vscode.Webview, extensionUri: vscode.Uri): string {
  const style = webview.asWebviewUri(vscode.Uri.joinPath(extensionUri, "media/diskMap.css"));
  const script = webview.asWebviewUri(vscode.Uri.joinPath(extensionUri, "dist/diskMap.js"));
  // "<" would be able to end the element.
  const words = JSON.stringify(vscode.l10n.bundle ?? {}).replaceAll("<", "\\u003c");
  const nonce = randomBytes(16).toString("base64");
  const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="${vscode.env.language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${vscode.l10n.t("Disk Map")}</title>
<link rel="stylesheet" href="${style}">
</head>
<body>
<main id="map"></main>
<script id="words" type="application/json">${words}</script>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}
