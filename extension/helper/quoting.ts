/* Words for the shells that sudo-prompt runs a command by. */

/** As one word of a shell's command line, whatever is in it. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * A command line for sudo-prompt. It puts it between double quotes of a shell's command line and escapes nothing but
 * double quotes, so the rest of what means something there is for us to escape.
 */
export function forSudoPrompt(line: string): string {
  return line.replace(/[\\$`]/g, "\\$&");
}
