/*
 * What is used of vscode-languageclient: a bundle of its own, three quarters of all that the extension is, which is read
 * when the first helper is started and not when a window is opened.
 */
export { StreamMessageReader, StreamMessageWriter } from "vscode-jsonrpc/node";
// Not its side for Node, which is there to start servers: ours are running.
export {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  WorkDoneProgress,
} from "vscode-languageclient";
