/** What VS Code's own `l10n.t` does, for where there is none. @param words by the English ones */
export function translator(words: Readonly<Record<string, string>>) {
  return (message: string, ...args: (string | number | boolean)[]): string =>
    (words[message] ?? message).replace(/\{(\d+)\}/g, (placeholder, index) => String(args[index] ?? placeholder));
}
