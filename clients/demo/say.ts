/** The demo speaks on standard output; progress that rewrites itself goes to standard error. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function title(text: string): void {
  const strong = process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text;
  process.stdout.write(`\n${strong}\n`);
}

export function bullet(text: string): void {
  process.stdout.write(`  - ${text}\n`);
}
