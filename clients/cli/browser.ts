/** Opens an address with the system's browser, and says the address where there is none. */
import { spawn } from "node:child_process";

export async function openInBrowser(url: string): Promise<void> {
  process.stderr.write(`${url}\n`);
  if (!(await launch(url))) process.stderr.write("No browser could be started; open the address yourself.\n");
}

function launch(url: string): Promise<boolean> {
  const [program, ...parameters] = opener(url);
  return new Promise((resolve) => {
    const child = spawn(program, parameters, { stdio: "ignore", detached: true });
    child.once("error", () => resolve(false));
    child.once("spawn", () => {
      child.unref();
      resolve(true);
    });
  });
}

function opener(url: string): [string, ...string[]] {
  if (process.platform === "darwin") return ["open", url];
  if (process.platform === "win32") return ["rundll32", "url.dll,FileProtocolHandler", url];
  return ["xdg-open", url];
}
